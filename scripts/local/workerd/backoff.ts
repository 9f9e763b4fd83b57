/** A run of this length was not part of a crash loop. */
const HEALTHY_MS = 30_000;
const FIRST_DELAY_MS = 250;
/** Long enough not to burn a core on a script that cannot live, short enough that a repaired cause heals by itself. */
const LONGEST_DELAY_MS = 15_000;

/** How long to wait before the next restart: not at all after one crash, then doubling while they keep coming. */
export class Backoff {
  #crashes = 0;

  next(ranMs: number): number {
    if (ranMs >= HEALTHY_MS) this.#crashes = 0;
    this.#crashes += 1;
    if (this.#crashes === 1) return 0;
    return Math.min(FIRST_DELAY_MS * 2 ** (this.#crashes - 2), LONGEST_DELAY_MS);
  }
}
