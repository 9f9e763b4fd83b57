/** A rate limit: `perSecond` in the long run, and up to `burst` at once after a quiet time. */
export type Rate = { readonly perSecond: number; readonly burst: number };

/** A token bucket. It costs two numbers of memory and no timer: what has flowed in is computed when somebody takes. */
export class TokenBucket {
  readonly #rate: Rate;
  #left: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#atMs = nowMs;
  }

  /** Takes one. Returns 0 if there was one, otherwise the milliseconds until there is. */
  take(nowMs: number): number {
    if (this.takeUpTo(1, nowMs) === 1) return 0;
    return Math.ceil(((1 - this.#left) * 1_000) / this.#rate.perSecond);
  }

  /** Takes `wanted`, or as many whole ones as there are. Returns how many it took. */
  takeUpTo(wanted: number, nowMs: number): number {
    // A clock that was set back refills nothing, and takes nothing away.
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#left = Math.min(this.#rate.burst, this.#left + (passedMs * this.#rate.perSecond) / 1_000);
    const taken = Math.min(wanted, Math.floor(this.#left));
    this.#left -= taken;
    return taken;
  }

  /** Returns one that was taken, because what it was taken for turned out not to count. */
  giveBack(): void {
    this.#left = Math.min(this.#rate.burst, this.#left + 1);
  }
}
