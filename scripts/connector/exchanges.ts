import { decodeFrame, encodeFrame, FrameKind } from "#protocol/frame.ts";
import { MAX_EXCHANGES } from "#protocol/limits.ts";
import { Exchange, type Reachable } from "./exchange.ts";

/** The exchanges in progress on one link. */
export class Exchanges {
  readonly #reachable: Reachable;
  readonly #send: (frame: Uint8Array) => void;
  readonly #open = new Map<number, Exchange>();

  constructor(reachable: Reachable, send: (frame: Uint8Array) => void) {
    this.#reachable = reachable;
    this.#send = send;
  }

  /** Handles a binary message. Returns `false` when it violates the protocol. */
  receive(bytes: Uint8Array): boolean {
    const frame = decodeFrame(bytes);
    if (frame === null || frame.kind === FrameKind.RESPONSE) return false;
    // An unknown exchange has ended on this side while the frame was in flight.
    if (frame.kind !== FrameKind.REQUEST) return this.#open.get(frame.exchange)?.receive(frame) ?? true;
    const id = frame.exchange;
    if (this.#open.has(id)) return false;
    if (this.#open.size >= MAX_EXCHANGES) {
      const reason = `more than ${MAX_EXCHANGES} calls at once`;
      this.#send(encodeFrame({ kind: FrameKind.CANCEL, exchange: id, reason }));
      return true;
    }
    let over = false;
    const exchange = new Exchange(frame, this.#reachable, this.#send, () => {
      over = true;
      this.#open.delete(id);
    });
    if (!over) this.#open.set(id, exchange);
    return true;
  }

  cancelAll(reason: string): void {
    for (const exchange of this.#open.values()) exchange.cancel(reason);
    this.#open.clear();
  }
}
