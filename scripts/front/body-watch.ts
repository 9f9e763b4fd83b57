import type { ClientRequest, IncomingMessage } from "node:http";
import { clientKeyOf } from "#protocol/client-key.ts";
import { BODY_BYTES_PER_MS, BODY_LOOK_MS, BODY_TIME_MS, MAX_SLOW_BODIES_PER_ADDRESS } from "./limits.ts";
import { Tally } from "./tally.ts";

/** Why a body is cut. */
export type Cut = "too_slow" | "too_many";

export type BodyTimes = { readonly lookMs: number; readonly timeMs: number; readonly bytesPerMs: number };

const TIMES: BodyTimes = { lookMs: BODY_LOOK_MS, timeMs: BODY_TIME_MS, bytesPerMs: BODY_BYTES_PER_MS };

/**
 * Cuts bodies that take too long to arrive, and bodies of an address that has too many of those at once. Nearly every body is complete before
 * it is looked at for the first time, so nothing else is counted: a burst of calls is not limited here.
 */
export class BodyWatch {
  readonly #times: BodyTimes;
  readonly #slow = new Tally<string>();

  constructor(times: BodyTimes = TIMES) {
    this.#times = times;
  }

  /**
   * Watches a body until it is complete or its connection ends.
   * @param toGate where it goes. While the gate takes nothing, its sender cannot go on, so that time does not count.
   * @param client the sender's address; `null` stands for many, whom only the time limits
   */
  watch(incoming: IncomingMessage, toGate: ClientRequest, client: string | null, cut: (why: Cut) => void): void {
    const { lookMs, timeMs, bytesPerMs } = this.#times;
    const key = client === null ? null : clientKeyOf(client);
    let [bytes, waitedMs, isSlow] = [0, 0, false];
    const look = setInterval(() => {
      if (toGate.writableNeedDrain) return;
      waitedMs += lookMs;
      if (waitedMs > timeMs + bytes / bytesPerMs) return end("too_slow");
      if (isSlow || key === null) return;
      if (this.#slow.of(key) >= MAX_SLOW_BODIES_PER_ADDRESS) return end("too_many");
      isSlow = true;
      this.#slow.add(key);
    }, lookMs);
    look.unref();
    const stop = (): void => {
      clearInterval(look);
      if (isSlow && key !== null) this.#slow.remove(key);
      isSlow = false;
    };
    const end = (why: Cut): void => {
      stop();
      cut(why);
    };
    incoming.on("data", (chunk: Buffer) => (bytes += chunk.length));
    incoming.on("end", stop);
    incoming.on("close", stop);
    toGate.on("close", stop); // nobody wants the rest (relay.ts, `discardRest`)
  }
}
