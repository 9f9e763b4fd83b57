import type { ConnectorListener } from "../../../../scripts/connector/connector.ts";
import type { ManualClock } from "./manual-clock.ts";

/** A connector's messages while it was offline, each with the time of its next dial. */
export class Retries {
  readonly reasons: string[] = [];
  readonly listener: ConnectorListener = {
    offline: (reason, retryInMs) => {
      this.reasons.push(reason);
      this.#waits.push(retryInMs);
      for (const wake of this.#seen.splice(0)) wake();
    },
  };
  readonly #clock: ManualClock;
  readonly #waits: number[] = [];
  #seen: (() => void)[] = [];

  constructor(clock: ManualClock) {
    this.#clock = clock;
  }

  /** Waits until the connector waits for its next dial; answers how long. */
  async next(): Promise<number> {
    while (this.#waits.length === 0) await new Promise<void>((resolve) => this.#seen.push(resolve));
    const ms = this.#waits.shift() ?? 0;
    await this.#clock.waits(ms);
    return ms;
  }

  /** Lets time pass, dial by dial, for at least so long. */
  async pass(ms: number): Promise<void> {
    for (let atMs = 0; atMs < ms;) {
      const waitMs = await this.next();
      this.#clock.advance(waitMs);
      atMs += waitMs;
    }
  }
}
