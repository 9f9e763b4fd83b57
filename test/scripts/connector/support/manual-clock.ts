import type { Clock } from "../../../../scripts/connector/clock.ts";

/** Time that stands still until a test moves it; only waits of 0 ms end by themselves. */
export class ManualClock implements Clock {
  #nowMs = 1_000_000;
  #timers: { atMs: number; act: () => void }[] = [];
  #seen: (() => void)[] = [];
  /** Every wait that was asked for, in order. */
  readonly asked: number[] = [];

  nowMs(): number {
    return this.#nowMs;
  }

  after(ms: number, act: () => void): () => void {
    if (ms === 0) {
      const soon = setImmediate(act);
      return () => clearImmediate(soon);
    }
    const timer = { atMs: this.#nowMs + ms, act };
    this.#timers.push(timer);
    this.asked.push(ms);
    for (const wake of this.#seen.splice(0)) wake();
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** Moves time on, and runs what is due on the way, in its order. */
  advance(ms: number): void {
    const untilMs = this.#nowMs + ms;
    for (;;) {
      const [due] = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs);
      if (due === undefined) break;
      this.#timers = this.#timers.filter((other) => other !== due);
      this.#nowMs = due.atMs;
      due.act();
    }
    this.#nowMs = untilMs;
  }

  /** The computer sleeps: the time goes on, and what was due meanwhile runs late. */
  sleep(ms: number): void {
    this.#nowMs += ms;
    this.advance(0);
  }

  /** Waits until somebody waits for exactly `ms`. */
  async waits(ms: number): Promise<void> {
    while (!this.#timers.some(({ atMs }) => atMs === this.#nowMs + ms))
      await new Promise<void>((resolve) => this.#seen.push(resolve));
  }
}
