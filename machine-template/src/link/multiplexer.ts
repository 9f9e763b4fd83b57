import { OperatorFailure, type OperatorError } from "#protocol/error.ts";
import { decodeFrame, FrameKind } from "#protocol/frame.ts";
import { MAX_EXCHANGES, MAX_REASON_CHARACTERS, RESPONSE_TIMEOUT_MS } from "#protocol/limits.ts";
import { type ClosingWord, Exchange } from "./exchange.ts";

/** How often open exchanges are checked for a silent link and for overdue answers. Either is noticed at most this much late. */
const SWEEP_MS = 5_000;

/**
 * A listening stream that was silent for so long may be ended to make room for a call. Long enough that clients who all
 * listen, and open their streams again when they end, do not push each other out in a tight circle.
 */
const IDLE_STREAM_MS = 30_000;

/** Exchange ids are unsigned 32-bit on the wire. */
const LAST_EXCHANGE = 0xffff_ffff;

/** What the multiplexer needs of the socket below it. */
export type Wire = {
  /** Sends a frame on the current link. Without a link the frame is dropped: every exchange has been settled by then. */
  send(frame: Uint8Array): void;
  /** Whether the link is alive. As a side effect, a link that has fallen silent is closed. */
  isAlive(): boolean;
};

/**
 * Many exchanges over one link: assigns ids, passes each exchange its frames, and settles those that are overdue.
 *
 * One timer for all exchanges checks for overdue ones (the "sweep"), instead of a timer for each: setting and clearing a timer
 * per call costs more than the rest of its bookkeeping, and a timer that is still pending keeps the Durable Object from
 * hibernating. The sweep therefore runs only while there are exchanges.
 */
export class Multiplexer {
  readonly #machine: string;
  readonly #wire: Wire;
  readonly #exchanges = new Map<number, Exchange>();
  #nextExchange = 1;
  #sweep: ReturnType<typeof setInterval> | null = null;

  /** @param machine the machine's name, for errors. */
  constructor(machine: string, wire: Wire) {
    this.#machine = machine;
    this.#wire = wire;
  }

  /** Exchanges in progress. */
  get size(): number {
    return this.#exchanges.size;
  }

  /** Creates an exchange, without sending anything. Throws `OperatorFailure` machine_busy. */
  begin(closingWord: ClosingWord): Exchange {
    if (this.#exchanges.size >= MAX_EXCHANGES) this.#makeRoom();
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
    const exchange = new Exchange(id, link, Date.now() + RESPONSE_TIMEOUT_MS, closingWord);
    this.#exchanges.set(id, exchange);
    this.#sweep ??= setInterval(() => this.#settleOverdue(), SWEEP_MS);
    return exchange;
  }

  /** Handles a binary message. Returns `false` when it is not a valid frame or violates the protocol. */
  receive(bytes: Uint8Array): boolean {
    const frame = decodeFrame(bytes);
    if (frame === null || frame.kind === FrameKind.REQUEST) return false;
    // The exchange was cancelled here while this frame was in flight. That is not an error of the peer.
    const exchange = this.#exchanges.get(frame.exchange);
    if (frame.kind !== FrameKind.CANCEL) return exchange?.receive(frame) ?? true;
    const reason = frame.reason.slice(0, MAX_REASON_CHARACTERS);
    exchange?.abandon({ code: "machine_failed", machine: this.#machine, reason, mayHaveRun: true });
    return true;
  }

  /** Fails every exchange with `error` immediately, because the link is gone. */
  settleAll(error: OperatorError): void {
    for (const exchange of this.#exchanges.values()) exchange.abandon(error);
    this.#stopSweep();
  }

  /** Ends the listening stream on which nothing has come for the longest time, if one has been idle for long enough. */
  #makeRoom(): void {
    let idlest: Exchange | null = null;
    for (const exchange of this.#exchanges.values())
      if ((exchange.idleMs ?? 0) > (idlest?.idleMs ?? IDLE_STREAM_MS - 1)) idlest = exchange;
    idlest?.cancel(new Error("it made room for a newer call: nothing had come on this stream for the longest time"));
  }

  #settleOverdue(): void {
    const now = Date.now();
    for (const exchange of this.#exchanges.values()) {
      if (!exchange.isOverdue(now)) continue;
      exchange.cancel(
        new OperatorFailure({ code: "machine_timeout", machine: this.#machine, afterMs: RESPONSE_TIMEOUT_MS }),
      );
    }
    if (!this.#wire.isAlive()) this.#stopSweep();
  }

  /** Stops the timer, because a pending one keeps the object from hibernating. */
  #stopSweep(): void {
    if (this.#sweep !== null) clearInterval(this.#sweep);
    this.#sweep = null;
  }
}
