/** A process that ran at least this long was not in a crash loop, so its crash counts as the first. */
const HEALTHY_MS = 30_000;
const FIRST_DELAY_MS = 250;
/** Long enough not to burn a core on a script that always crashes; short enough that it recovers soon after the cause is fixed. */
const LONGEST_DELAY_MS = 15_000;

/**
 * How long to wait before the next restart. The first crash restarts immediately; each further one doubles the wait, up to
 * the longest delay.
 */
export class Backoff {
  #crashes = 0;

  next(ranMs: number): number {
    if (ranMs >= HEALTHY_MS) this.#crashes = 0;
    this.#crashes += 1;
    if (this.#crashes === 1) return 0;
    return Math.min(FIRST_DELAY_MS * 2 ** (this.#crashes - 2), LONGEST_DELAY_MS);
  }
}
