import { OperatorFailure } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { kernel } from "./runtime/kernel.ts";
import type { Env } from "../../control-api/src/env.ts";
import { decodeCursor } from "../../control-api/src/events/cursor.ts";
import { poll, type Polled, type PollRequest } from "../../control-api/src/events/poll.ts";
import type { Computer } from "./computer.ts";

/** What a reader of events asks for. */
export type Interest = {
  readonly label: string;
  readonly detail: "coarse" | "deltas";
  readonly types: readonly string[] | null;
  /** Only this computer's events: a token that is limited to its machine. */
  readonly only: Computer | null;
};

/** A poll ends within this time after what it waits for was stored; it gathers for a quarter of a second. Milliseconds. */
const WOKEN_WITHIN_MS = 1_000;

/** A rule that the simulation checks was broken. */
export class Broken extends Error {}

function check(isSo: boolean, otherwise: string): void {
  if (!isSo) throw new Broken(otherwise);
}

const isDelta = (type: string): boolean => type.endsWith(".delta");

function isWanted({ detail, types, only }: Interest, type: string, from: Computer): boolean {
  if (only !== null && only !== from) return false;
  if (isDelta(type) && detail === "coarse") return false;
  return types === null || types.includes(type);
}

/**
 * A client that polls, and checks what it gets: each event once, in its machine's order, none of anybody else's, and none left out
 * without a gap marker.
 */
export class Reader {
  readonly interest: Interest;
  readonly #env: Env;
  readonly #user: string;
  readonly #computers: () => readonly Computer[];
  cursor: string | null = null;
  /** The last event of each computer that was read, and whether a gap was announced since. */
  readonly #last = new Map<string, number>();
  readonly #excused = new Set<string>();
  /** Its log was lost, so it began anew, and nobody promises it what came before. */
  hasBegunAnew = false;
  hasSeenGap = false;
  /** The poll that waits. */
  waiting: { readonly sinceMs: number; readonly done: Promise<void> } | null = null;
  failure: unknown = null;
  #lease = new AbortController();

  constructor(interest: Interest, env: Env, user: string, computers: () => readonly Computer[]) {
    this.interest = interest;
    this.#env = env;
    this.#user = user;
    this.#computers = computers;
  }

  /** One poll; `false` if there may be more. */
  async poll(timeoutMs: number): Promise<Polled["result"] | null> {
    try {
      const { result } = await poll(this.#env, this.request(timeoutMs));
      this.#take(result);
      return result;
    } catch (reason) {
      if (!(reason instanceof OperatorFailure)) throw reason;
      if (reason.error.code === "unauthorized") return null;
      check(reason.error.code === "cursor_expired", `${this.interest.label}: ${reason.error.code}`);
      this.cursor = null;
      this.hasBegunAnew = true;
      this.#last.clear();
      return null;
    }
  }

  request(timeoutMs: number): PollRequest {
    const { detail, types, only } = this.interest;
    const visible = only === null ? null : [only.identity];
    return {
      user: this.#user, cursor: this.cursor, visible, machine: null, session: null, project: null, types, notices: false, detail, timeoutMs,
      signal: this.#lease.signal,
    }; // prettier-ignore
  }

  /**
   * A name stands for another machine or none, or a token was revoked. What waits by a name ends, and its client asks again with what
   * it may see now (sign-in/lease.ts).
   */
  renew(): void {
    if (this.interest.only === null) return;
    this.#lease.abort();
    this.#lease = new AbortController();
  }

  /** Starts a poll that waits for something to happen, unless one waits already. */
  wait(): void {
    if (this.waiting !== null) return;
    const done = this.poll(POLL_MS).then(
      () => void (this.waiting = null),
      (reason: unknown) => {
        this.waiting = null;
        this.failure ??= reason;
      },
    );
    this.waiting = { sinceMs: kernel.nowMs, done };
  }

  /** Throws if the waiting poll has slept through something: a poll that begins now would find it. */
  async checkWoken(): Promise<void> {
    if (this.waiting === null || kernel.nowMs - this.waiting.sinceMs < WOKEN_WITHIN_MS) return;
    const { result } = await poll(this.#env, this.request(0));
    const slept = result.events.some(({ atMs }) => kernel.nowMs + kernel.skewMs - atMs > WOKEN_WITHIN_MS);
    check(!slept, `${this.interest.label}: a poll waits, and there is ${result.events[0]?.type}`);
  }

  /** Reads until there is nothing more. */
  async drain(): Promise<void> {
    for (let polls = 0; ; polls += 1) {
      check(polls < 500, `${this.interest.label}: polling does not end`);
      const result = await this.poll(0);
      if (result !== null && !result.more && result.events.length === 0 && result.gaps.length === 0) return;
    }
  }

  /** At rest, after everything was read: whether anything is missing. */
  checkComplete(): void {
    for (const computer of this.#computers()) {
      // What a computer that is gone had not told before is lost with it.
      if (computer.owner !== this.#user || computer.isGone || !computer.isLinked) continue;
      this.#checkSkipped(computer, computer.made.length + 1, "at the end");
    }
  }

  #take({ events, cursor, gaps }: Polled["result"]): void {
    const { label } = this.interest;
    const [before, after] = [this.cursor, cursor].map((one) => (one === null ? null : decodeCursor(one)));
    if (
      before !== null &&
      typeof before === "object" &&
      typeof after === "object" &&
      after !== null &&
      before !== undefined
    ) {
      check(before.epoch === after.epoch, `${label}: the cursor changed its log`);
      check(after.seq >= before.seq, `${label}: the cursor went back from ${before.seq} to ${after.seq}`);
    }
    // Its cursor has expired, so it starts again among the recent events. `gaps` names what is missing after a cursor, and this poll has
    // none. A hole up to the first event of each machine that it reads with a cursor is therefore not announced, beyond the expiry.
    const startsAgain = this.cursor === null && this.hasBegunAnew;
    this.cursor = cursor;
    if (startsAgain) for (const { identity } of this.#computers()) this.#excused.add(identity);
    if (gaps.length > 0) this.hasSeenGap = true;
    for (const computer of this.#computers())
      if (computer.owner === this.#user && gaps.includes(computer.name)) this.#excused.add(computer.identity);
    const told = new Set<Computer>();
    for (const { type, data, machine } of events) {
      const { n, from, owner } = (data ?? {}) as { n?: number; from?: string; owner?: string };
      if (typeof n !== "number") continue; // the script's own events
      check(owner === this.#user, `${label} of ${this.#user}: read an event of ${owner}`);
      const computer = this.#computers().find(({ identity }) => identity === from);
      if (computer === undefined) throw new Broken(`${label}: an event of nobody`);
      check(computer.made[n - 1]?.type === type, `${label}: event ${n} of ${from} changed`);
      check(isWanted(this.interest, type, computer), `${label}: read ${type} of ${from}, which it did not ask for`);
      check(!computer.made[n - 1]?.isForgotten, `${label}: event ${n} of ${from} was forgotten, and came back`);
      const last = this.#last.get(computer.identity) ?? 0;
      check(
        n > last || computer.made[n - 1]?.mayRepeat === true,
        `${label}: event ${n} of ${from} (${machine}) came after ${last}`,
      );
      this.#checkSkipped(computer, n, `before event ${n}`);
      this.#last.set(computer.identity, Math.max(n, last));
      told.add(computer);
    }
    if (startsAgain) return;
    // A gap is before the events that follow it. Later ones need a marker of their own.
    for (const computer of told) if (!gaps.includes(computer.name)) this.#excused.delete(computer.identity);
  }

  /** Throws if wanted events between the last one and `n` were left out and no gap was announced. */
  #checkSkipped(computer: Computer, n: number, where: string): void {
    const last = this.#last.get(computer.identity) ?? 0;
    if (this.hasBegunAnew && last === 0) return;
    const missing = computer.made.find(
      (one) =>
        one.n > last &&
        one.n < n &&
        !isDelta(one.type) &&
        one.mayBeMissing !== true &&
        isWanted(this.interest, one.type, computer),
    );
    if (missing === undefined) return;
    check(
      this.#excused.has(computer.identity),
      `${this.interest.label}: event ${missing.n} (${missing.type}) of ${computer.identity} (${computer.name}) is missing ${where}, and no gap was announced`,
    );
  }
}
