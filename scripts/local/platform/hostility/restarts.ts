import type { Random } from "../../../system/random.ts";
import type { Hostility } from "./hostility.ts";

/** A script, as far as a restart needs it. */
export type Restartable = {
  /** Ends its process and starts it again, unless a call is open. Answers whether it did. */
  restartIfIdle(): Promise<boolean>;
};

/** A script that always has a call open is asked again after this time, and so many times. */
const AGAIN_MS = 200;
const TIMES = 50;

/**
 * Restarts a script at a random moment after its start, as Cloudflare restarts Durable Objects when it updates its own servers. Links
 * drop, and what is only in memory is gone. Only in a moment without a call: a call in progress would be lost for good, and what
 * its caller is told then has tests of its own.
 */
export class Restarts {
  readonly #hostility: Hostility;
  readonly #timers = new Set<NodeJS.Timeout>();
  #isStopped = false;

  constructor(hostility: Hostility) {
    this.#hostility = hostility;
  }

  /** A script has started, not because of an earlier restart. */
  started(script: Restartable, random: Random): void {
    const { restartShare, restartMs } = this.#hostility;
    if (random.chance(restartShare)) this.soon(script, random.next() * restartMs);
  }

  /** In the first moment without a call after this time. A script that always has a call open is not restarted. */
  soon(script: Restartable, ms: number): void {
    this.#after(ms, () => this.#try(script, TIMES));
  }

  stop(): void {
    this.#isStopped = true;
    for (const timer of this.#timers) clearTimeout(timer);
  }

  async #try(script: Restartable, left: number): Promise<void> {
    if (this.#isStopped || left === 0) return;
    if (!(await script.restartIfIdle())) this.#after(AGAIN_MS, () => this.#try(script, left - 1));
  }

  #after(ms: number, work: () => Promise<void>): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      void work().catch(() => {
        // The script was removed meanwhile, or the platform is stopping.
      });
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }
}
