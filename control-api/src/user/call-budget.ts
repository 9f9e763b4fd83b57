import { noteWithin } from "#protocol/keep-within.ts";

const DAY_MS = 24 * 60 * 60_000;

/**
 * A budget is written to the database in this many steps. A write per call would cost more than the rest of the call's look-up, so
 * calls are reserved in steps of 1 %: whatever of a step was not used is lost when the object restarts.
 */
const STEPS = 100;

/** Refused calls of a day after which a person is notified. A client that stops when told to needs no notice. */
const TOLD_AFTER = 10;

/** Tokens whose counts are in memory: twice as many as a person may have valid ones. Of one that is forgotten, what is stored counts. */
const REMEMBERED = 2_000;

/** What is stored of a token's budget. `day`: days since 1970, in UTC. `reserved`: calls of that day that count as made. */
export type StoredBudget = { readonly day: number; readonly reserved: number };

type Count = { day: number; used: number; reserved: number; refused: number };

/** Counts the calls of tokens whose maker limited them per day (UTC). A token never gets more calls than its budget, also over restarts. */
export class CallBudgets {
  readonly #counts = new Map<string, Count>();
  readonly #store: (token: string, budget: StoredBudget) => void;

  constructor(store: (token: string, budget: StoredBudget) => void) {
    this.#store = store;
  }

  /**
   * Counts one call. `afterMs` is 0 if it is within the budget, otherwise the milliseconds until the next day. `isTold`: this is the
   * refused call after which its person must be notified.
   */
  take(
    token: string,
    perDay: number,
    stored: StoredBudget,
    nowMs: number,
  ): { readonly afterMs: number; readonly isTold: boolean } {
    const day = Math.floor(nowMs / DAY_MS);
    const count = this.#of(token, day, stored);
    if (count.used >= perDay) {
      count.refused += 1;
      return { afterMs: (day + 1) * DAY_MS - nowMs, isTold: count.refused === TOLD_AFTER };
    }
    count.used += 1;
    if (count.used > count.reserved) {
      count.reserved = Math.min(perDay, count.reserved + Math.ceil(perDay / STEPS));
      this.#store(token, { day, reserved: count.reserved });
    }
    return { afterMs: 0, isTold: false };
  }

  /** A token was deleted. */
  forget(token: string): void {
    this.#counts.delete(token);
  }

  #of(token: string, day: number, stored: StoredBudget): Count {
    const known = this.#counts.get(token);
    if (known?.day === day) return known;
    // After a restart everything that was reserved counts as used.
    const used = stored.day === day ? stored.reserved : 0;
    const count = { day, used, reserved: used, refused: 0 };
    noteWithin(this.#counts, REMEMBERED, token, count);
    return count;
  }
}
