import type { Caller } from "../http/caller.ts";
import { onClientLeft } from "../http/client-left.ts";

export type PlaceLimits = { readonly perCredential: number; readonly perUser: number };

/**
 * Requests that may be open at once: calls that run, long polls and event streams.
 *
 * - A token or an app: 400. An agent has three at most (a stream, a long poll, a call), so a hundred agents may share one token. A browser tab has
 *   one stream, and closes it while nobody looks at the tab.
 * - A person, with all tokens, apps and browsers: 800, so that one token does not lock out the others. It is less than the waits that a person's
 *   object tells of news (history/waiters.ts), because each open request waits there for the moment in which it loses access.
 */
const LIMITS: PlaceLimits = { perCredential: 400, perUser: 800 };

/** How often an open request says that it still is. Milliseconds. */
const BEAT_MS = 5_000;

/** Silence after which an open request has ended without saying so: two beats and a little, since a busy isolate is late. Milliseconds. */
const SILENCE_MS = 12_000;

/** Of a caller, what their open requests are counted under. */
export type Whose = Pick<Caller, "user" | "client" | "credential" | "isLocal">;

/** One open request. */
export class Place {
  readonly #giveBack: () => void;
  #beat: number | null = null;
  #heardMs: number;

  constructor(nowMs: number, giveBack: () => void) {
    this.#heardMs = nowMs;
    this.#giveBack = giveBack;
  }

  /** Has the request say from now on that it is still open. One that ends sooner than `SILENCE_MS` need not. */
  keep(): void {
    this.#heardMs = Date.now();
    this.#beat ??= setInterval(() => (this.#heardMs = Date.now()), BEAT_MS);
  }

  /** The request has ended. May be called again. */
  free(): void {
    clearInterval(this.#beat);
    this.#giveBack();
  }

  /** Frees the place of a request that has ended without a word. Its timer ended with it, and must not be touched by another request. */
  freeIfSilent(nowMs: number): void {
    if (nowMs - this.#heardMs > SILENCE_MS) this.#giveBack();
  }
}

/**
 * Limits how many requests are open at once, in this isolate's memory as all limits of requests (admission.ts).
 *
 * A place is given back when its request ends, and when its client leaves. The runtime can also end a request without a word to its code, for
 * example one that has used too much CPU. Its timer then stops as well, and a place that has been silent is free again.
 */
export class Places {
  readonly #limits: PlaceLimits;
  readonly #ofCredential = new Map<string, Set<Place>>();
  readonly #ofUser = new Map<string, Set<Place>>();

  constructor(limits: PlaceLimits = LIMITS) {
    this.#limits = limits;
  }

  /** Open requests that are counted. */
  get taken(): number {
    return [...this.#ofUser.values()].reduce((sum, { size }) => sum + size, 0);
  }

  /** A place for a request, or `null` if there is none. The owner of a local start has no limit, and is not counted. */
  take({ user, client, credential, isLocal }: Whose, request: Pick<Request, "signal">): Place | null {
    const nowMs = Date.now();
    if (isLocal === true) return new Place(nowMs, () => undefined);
    const { perCredential, perUser } = this.#limits;
    const key = `${user} ${credential ?? client}`;
    if (isFull(this.#ofCredential.get(key), perCredential, nowMs) || isFull(this.#ofUser.get(user), perUser, nowMs))
      return null;
    const place: Place = new Place(nowMs, () => {
      leave(this.#ofCredential, key, place);
      leave(this.#ofUser, user, place);
    });
    enter(this.#ofCredential, key, place);
    enter(this.#ofUser, user, place);
    onClientLeft(request, () => place.free());
    return place;
  }
}

/** Whether no place is left, also after the silent ones were freed. */
function isFull(places: ReadonlySet<Place> | undefined, limit: number, nowMs: number): boolean {
  if (places === undefined || places.size < limit) return false;
  for (const place of places) place.freeIfSilent(nowMs);
  return places.size >= limit;
}

function enter(all: Map<string, Set<Place>>, key: string, place: Place): void {
  const places = all.get(key);
  if (places === undefined) all.set(key, new Set([place]));
  else places.add(place);
}

function leave(all: Map<string, Set<Place>>, key: string, place: Place): void {
  const places = all.get(key);
  if (places?.delete(place) === true && places.size === 0) all.delete(key);
}

/** Those of this isolate. */
export const places = new Places();
