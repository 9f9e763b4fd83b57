/** How fast events may come, and how many at once after a time of quiet. */
export type EventRate = { readonly perSecond: number; readonly burst: number };

/**
 * A token bucket for events. A model that streams its answer makes some 50 events a second; a server that runs away makes
 * thousands, and would push everything worth reading out of the log.
 */
export class EventBudget {
  readonly #rate: EventRate;
  #left: number;
  #atMs: number;

  constructor(rate: EventRate, nowMs: number) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#atMs = nowMs;
  }

  /** How many of `wanted` events may pass now. They are taken from what is left. */
  take(wanted: number, nowMs: number): number {
    // A clock that was set back refills nothing, and takes nothing away.
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#left = Math.min(this.#rate.burst, this.#left + (passedMs / 1_000) * this.#rate.perSecond);
    const taken = Math.min(wanted, Math.floor(this.#left));
    this.#left -= taken;
    return taken;
  }
}
