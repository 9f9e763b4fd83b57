import { OperatorFailure, type OperatorError } from "#protocol/error.ts";
import { decodeFrame, FrameKind } from "#protocol/frame.ts";
import { MAX_EXCHANGES, MAX_REASON_CHARACTERS, RESPONSE_HEAD_TIMEOUT_MS } from "#protocol/limits.ts";
import { type ClosingWord, Exchange } from "./exchange.ts";

/** How often open exchanges are checked for a silent link and for overdue answers. Bounds how late either is noticed. */
const SWEEP_MS = 5_000;

/** Exchange ids are unsigned 32-bit on the wire. */
const LAST_EXCHANGE = 0xffff_ffff;

/** What the multiplexer needs of the socket under it. */
export type Wire = {
  /** Sends a frame on the current link; without one the frame is dropped, since every exchange is settled by then. */
  send(frame: Uint8Array): void;
  /** Whether the link is alive. Called by the sweep: a link that has fallen silent is closed by asking. */
  isAlive(): boolean;
};

/** Many exchanges over one link: gives them ids, hands each the frames that are its own, and settles those that are overdue. */
export class Multiplexer {
  readonly #machine: string;
  readonly #wire: Wire;
  readonly #exchanges = new Map<number, Exchange>();
  #nextExchange = 1;
  #sweep: ReturnType<typeof setInterval> | null = null;

  /** @param machine the name its owner uses, for errors. */
  constructor(machine: string, wire: Wire) {
    this.#machine = machine;
    this.#wire = wire;
  }

  /** Exchanges under way. */
  get size(): number {
    return this.#exchanges.size;
  }

  /** A new exchange, not sent yet. Throws `OperatorFailure` machine_busy. */
  begin(closingWord: ClosingWord): Exchange {
    if (this.#exchanges.size >= MAX_EXCHANGES)
      throw new OperatorFailure({ code: "machine_busy", machine: this.#machine, limit: MAX_EXCHANGES });
    const id = this.#nextExchange;
    this.#nextExchange = id === LAST_EXCHANGE ? 1 : id + 1;
    const link = {
      send: (frame: Uint8Array) => this.#wire.send(frame),
      done: (done: number) => {
        this.#exchanges.delete(done);
        if (this.#exchanges.size === 0) this.#stopSweep();
      },
    };
    const exchange = new Exchange(id, link, Date.now() + RESPONSE_HEAD_TIMEOUT_MS, closingWord);
    this.#exchanges.set(id, exchange);
    this.#sweep ??= setInterval(() => this.#settleOverdue(), SWEEP_MS);
    return exchange;
  }

  /** A binary message came. `false`: it is no frame of this protocol, or breaks it. */
  receive(bytes: Uint8Array): boolean {
    const frame = decodeFrame(bytes);
    if (frame === null || frame.kind === FrameKind.REQUEST) return false;
    // An unknown exchange was cancelled while this frame was on its way: that is no fault.
    const exchange = this.#exchanges.get(frame.exchange);
    if (frame.kind !== FrameKind.CANCEL) return exchange?.receive(frame) ?? true;
    const reason = frame.reason.slice(0, MAX_REASON_CHARACTERS);
    exchange?.abandon({ code: "machine_failed", machine: this.#machine, reason, mayHaveRun: true });
    return true;
  }

  /** The link under these exchanges is gone: every one of them fails with `error`, at once. */
  settleAll(error: OperatorError): void {
    for (const exchange of this.#exchanges.values()) exchange.abandon(error);
    this.#stopSweep();
  }

  #settleOverdue(): void {
    const now = Date.now();
    for (const exchange of this.#exchanges.values()) {
      if (!exchange.awaitsHead || exchange.deadlineMs > now) continue;
      exchange.cancel(
        new OperatorFailure({ code: "machine_timeout", machine: this.#machine, afterMs: RESPONSE_HEAD_TIMEOUT_MS }),
      );
    }
    if (!this.#wire.isAlive()) this.#stopSweep();
  }

  /** Without exchanges no timer runs: a pending one would keep the object from hibernating. */
  #stopSweep(): void {
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
  }
}
