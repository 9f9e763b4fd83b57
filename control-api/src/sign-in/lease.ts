import { waitUntil } from "cloudflare:workers";
import { isEventStream } from "#protocol/header.ts";
import type { Env } from "../env.ts";
import type { Caller } from "../http/caller.ts";
import type { Refusal } from "../http/refusal.ts";
import type { RequestLease } from "../http/request-lease.ts";
import { authenticate } from "./authenticate.ts";
import { type Place, places, type Whose } from "./places.ts";

/** Requests shorter than this are not watched. Nearly every call ends earlier and costs only this timer. Milliseconds. */
const WATCH_AFTER_MS = 1_000;

/**
 * Whoever takes longer than this to send a body is checked again when it is there. Nearly every body comes with its head, or soon after it.
 * Milliseconds.
 */
const SLOW_BODY_MS = 20;

/** Longest time between two checks of a caller. A token that expires causes no notification, so it is found this way. Milliseconds. */
const ASK_AGAIN_MS = 60_000;

/** Pause before the next attempt when the user's object did not answer, for example because a deployment restarts it. Milliseconds. */
const RETRY_MS = 5_000;

/**
 * How long an answer that has a last message may still write after its lease has ended. Writing it takes no other request, so this only bounds
 * a client that does not read. Milliseconds.
 */
const LAST_MESSAGE_MS = 5_000;

/** When a refused request may find a place: most calls end within a second. */
const ONE_TOO_MANY = { refused: "too_many", of: "open", afterMs: 1_000 } as const satisfies Refusal;

/**
 * Ends a long request when its caller loses access. A token is otherwise checked only when a request starts, so an event stream
 * that is already open would survive the revocation of its token.
 *
 * Each open stream and long-poll waits at its user's object for a revocation. Every revocation of that user wakes them all, and
 * each authenticates again. A request ends if its caller would now be refused, has other scopes than before, or reaches other machines than
 * before: of all machines, or, once it is known that the request is about one alone, of that.
 *
 * A request with a lease takes a place (places.ts) until it ends: there is a limit to how many a caller may have open at once.
 */
export class Lease implements RequestLease {
  readonly #over = Promise.withResolvers<null>();
  /** Made when somebody asks for the signal, which costs more than the rest of a lease. */
  #controller: AbortController | null = null;

  readonly #request: Request;
  readonly #whose: Whose;
  readonly #places: Place[];
  readonly #isStillAllowed: (machine: string | null) => Promise<boolean>;
  #isKept = false;
  #isEnded = false;
  #hasLastMessage = false;
  readonly #conditions: (() => Promise<boolean>)[] = [];
  /** The only machine that the request is about; `null` if it may be about all that the caller reaches. */
  #machine: string | null = null;
  #isBatch = false;

  private constructor(
    request: Request,
    env: Env,
    whose: Whose,
    place: Place,
    isAllowed: (machine: string | null) => Promise<boolean>,
  ) {
    this.#request = request;
    this.#whose = whose;
    this.#places = [place];
    this.#isStillAllowed = isAllowed;
    setTimeout(() => void this.#watch(env, whose.user), WATCH_AFTER_MS);
  }

  /**
   * A lease on a request, or the refusal of one too many.
   * @param isAllowed whether whoever opened the request would be let in now, with the same rights: at this machine, or, with `null`, at all
   */
  static open(
    request: Request,
    env: Env,
    whose: Whose,
    isAllowed: (machine: string | null) => Promise<boolean>,
  ): Lease | Refusal {
    const place = places.take(whose, request);
    return place === null ? ONE_TOO_MANY : new Lease(request, env, whose, place, isAllowed);
  }

  /** The lease of a request with a token, whose caller is `caller`. */
  static of(request: Request, env: Env, url: URL, caller: Caller): Lease | Refusal {
    return Lease.open(request, env, caller, (machine) => isStillLetIn(request, env, url, caller, machine));
  }

  /**
   * Takes places for all messages of a batch, because each may wait as long as a request of its own. `null` if there are enough. Otherwise the
   * caller refuses the request, which gives back what it took when it ends.
   */
  admit(messages: number): Refusal | null {
    this.#isBatch = true;
    if (this.#whose.isLocal === true) return null;
    while (this.#places.length < messages) {
      const place = places.take(this.#whose, this.#request);
      if (place === null) return ONE_TOO_MANY;
      if (this.#isKept) place.keep();
      this.#places.push(place);
    }
    return null;
  }

  /** Aborted when the caller has lost access. */
  get signal(): AbortSignal {
    if (this.#controller === null) {
      const controller = new AbortController();
      void this.#over.promise.then(() => controller.abort());
      this.#controller = controller;
    }
    return this.#controller.signal;
  }

  expectLastMessage(): void {
    this.#hasLastMessage = true;
  }

  concerns(machine: string): void {
    // The other calls of a batch may be about other machines.
    if (!this.#isBatch) this.#machine = machine;
  }

  require(isSo: () => Promise<boolean>): void {
    this.#conditions.push(isSo);
  }

  async holdsAfterBody(beganMs: number): Promise<boolean> {
    return Date.now() - beganMs < SLOW_BODY_MS || this.#isAllowed();
  }

  #isAllowed(): Promise<boolean> {
    return this.#isStillAllowed(this.#machine);
  }

  /** The request has ended, so that nothing is left to watch. May be called again. */
  end(): void {
    this.#isEnded = true;
    for (const place of this.#places) place.free();
  }

  /** Makes an event stream end together with the lease. Operator's other answers are returned unchanged: they are complete. */
  cover(response: Response): Response {
    if (isEventStream(response.headers.get("content-type"))) return this.coverBody(response);
    this.end();
    return response;
  }

  /**
   * Makes any body end together with the lease. A machine decides how its answer goes on: one of JSON may be sent piece by piece for days,
   * also one whose length was announced.
   */
  coverBody(response: Response): Response {
    const { body } = response;
    if (body === null) {
      this.end();
      return response;
    }
    const { readable, writable } = passageFor(response.headers.get("content-length"));
    const cut = new AbortController();
    void this.#over.promise
      .then(() => (this.#hasLastMessage ? scheduler.wait(LAST_MESSAGE_MS) : null))
      .then(() => cut.abort());
    // pipeTo rejects when either side has closed or the stream was cut. In each case it is over and nobody is left to tell. Without
    // `waitUntil` the runtime ends the request with its last byte, and the place would stay taken until it has been silent for a while.
    waitUntil(
      body
        .pipeTo(writable, { signal: cut.signal })
        .catch(() => undefined)
        .finally(() => this.end()),
    );
    return new Response(readable, response);
  }

  /** Settles like `promise`, or with `null` when the lease ends first. An answer is then given to `cover`. */
  async during<Result>(promise: Promise<Result>): Promise<Result | null> {
    try {
      const result = await Promise.race([promise, this.#over.promise]);
      if (result === null) this.end();
      return result;
    } catch (reason) {
      this.end();
      throw reason;
    }
  }

  async #watch(env: Env, user: string): Promise<void> {
    if (!this.#isEnded) {
      this.#isKept = true;
      for (const place of this.#places) place.keep();
    }
    while (!this.#isEnded) {
      // Start waiting before checking: in the other order a revocation between the two would be missed.
      const bell = ring(env, user);
      if (!(await this.#isAllowed()) || !(await this.#areMet())) return this.#over.resolve(null);
      await bell;
    }
  }

  async #areMet(): Promise<boolean> {
    for (const isSo of this.#conditions) if (!(await isSo())) return false;
    return true;
  }
}

/** What a body is piped through. Its length stays announced, so that a caller who gets less knows that it was cut. */
function passageFor(length: string | null): { readable: ReadableStream; writable: WritableStream } {
  const bytes = length === null ? Number.NaN : Number(length);
  return Number.isSafeInteger(bytes) && bytes >= 0 ? new FixedLengthStream(bytes) : new IdentityTransformStream();
}

async function ring(env: Env, user: string): Promise<void> {
  try {
    await env.USER.getByName(user).awaitRevocation(ASK_AGAIN_MS);
  } catch (reason) {
    console.warn("a user's object could not be waited on", { user, reason: String(reason) });
    await scheduler.wait(RETRY_MS);
  }
}

async function isStillLetIn(
  request: Request,
  env: Env,
  url: URL,
  caller: Caller,
  machine: string | null,
): Promise<boolean> {
  const found = await authenticate(request, env, url, false);
  // "unavailable" says nothing about the token, so the request goes on and is checked again later.
  if ("refused" in found) return found.refused === "unavailable";
  return limitsOf(found, machine) === limitsOf(caller, machine);
}

/** What a caller may do: at one machine, or, with `null`, at all. */
function limitsOf({ user, machines, scopes }: Caller, machine: string | null): string {
  return JSON.stringify([user, scopes, machine === null ? machines : (machines?.includes(machine) ?? true)]);
}
