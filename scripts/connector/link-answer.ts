import { encodeFrame, FrameKind, type ResponseHead } from "#protocol/frame.ts";
import type { HeaderList } from "#protocol/header.ts";
import { CHUNK_BYTES, WINDOW_BYTES } from "#protocol/limits.ts";
import type { Answer } from "./target.ts";

const EMPTY = new Uint8Array(0);

/**
 * An answer that is sent over the link. Everything that is written in one turn of the event loop is sent together at the end of
 * that turn, so that a short answer is a single frame with head, body and end. Nothing is held back for longer. Never sends more
 * than the caller has granted credit for.
 */
export class LinkAnswer implements Answer {
  drained: (() => void) | null = null;
  cancelled: ((reason: string) => void) | null = null;
  readonly #exchange: number;
  readonly #send: (frame: Uint8Array) => void;
  readonly #done: () => void;
  #head: ResponseHead | null = null;
  #headSent = false;
  #whole = false;
  #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  #credit = WINDOW_BYTES;
  #ended = false;
  #over = false;
  #scheduled = false;
  #full = false;

  /** @param done called once, when the exchange is over for whatever reason. */
  constructor(exchange: number, send: (frame: Uint8Array) => void, done: () => void) {
    this.#exchange = exchange;
    this.#send = send;
    this.#done = done;
  }

  get isOver(): boolean {
    return this.#over;
  }

  head(status: number, headers: HeaderList, whole = false, length?: number): void {
    if (this.#over || this.#head !== null) return;
    this.#head = { status, headers, ...(length === undefined ? {} : { length }) };
    this.#whole = whole;
    if (!whole) this.#schedule();
  }

  write(chunk: Uint8Array): boolean {
    if (this.#over || chunk.length === 0) return true;
    this.#queue.push(chunk);
    this.#queuedBytes += chunk.length;
    if (!this.#whole) this.#schedule();
    this.#full = this.#queuedBytes >= CHUNK_BYTES && !this.#whole;
    return !this.#full;
  }

  end(): void {
    if (this.#over) return;
    this.#ended = true;
    this.#flush();
  }

  fail(reason: string): void {
    if (this.#over) return;
    this.#send(encodeFrame({ kind: FrameKind.CANCEL, exchange: this.#exchange, reason }));
    this.#finish();
  }

  /** Adds credit: this many more bytes may be sent. Returns `false` when the receiver has not been sent as many, so that it cannot have read them. */
  grant(bytes: number): boolean {
    if (this.#credit + bytes > WINDOW_BYTES) return false;
    this.#credit += bytes;
    this.#flush();
    return true;
  }

  /** Nobody waits for the answer any more. */
  cancel(reason: string): void {
    if (this.#over) return;
    this.#finish();
    this.cancelled?.(reason);
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      this.#flush();
    });
  }

  #flush(): void {
    if (this.#over || this.#head === null) return;
    if (!this.#headSent) this.#sendHead(this.#head);
    while (this.#queuedBytes > 0 && this.#credit > 0) this.#sendBody(this.#take());
    if (this.#over) return;
    if (this.#ended && this.#queuedBytes === 0) {
      this.#sendBody(EMPTY);
      return;
    }
    if (!this.#full || this.#queuedBytes >= CHUNK_BYTES) return;
    this.#full = false;
    this.drained?.();
  }

  #sendHead(head: ResponseHead): void {
    this.#headSent = true;
    const length = this.#whole ? this.#queuedBytes : head.length; // held until its end, so all of it is here
    const body = this.#take();
    const end = this.#ended && this.#queuedBytes === 0;
    // What goes out complete needs no length; nearly every answer does.
    const sent = end || length === undefined ? { status: head.status, headers: head.headers } : { ...head, length };
    this.#send(encodeFrame({ kind: FrameKind.RESPONSE, exchange: this.#exchange, end, head: sent, body }));
    if (end) this.#finish();
  }

  #sendBody(body: Uint8Array): void {
    const end = this.#ended && this.#queuedBytes === 0;
    this.#send(encodeFrame({ kind: FrameKind.BODY, exchange: this.#exchange, end, body }));
    if (end) this.#finish();
  }

  /** The next chunk, as large as credit and a frame allow. */
  #take(): Uint8Array {
    const bytes = Math.min(CHUNK_BYTES, this.#credit, this.#queuedBytes);
    this.#credit -= bytes;
    this.#queuedBytes -= bytes;
    const [first = EMPTY] = this.#queue;
    if (first.length === bytes) {
      this.#queue.shift();
      return first;
    }
    if (first.length > bytes) {
      this.#queue[0] = first.subarray(bytes);
      return first.subarray(0, bytes);
    }
    return this.#join(bytes);
  }

  #join(bytes: number): Uint8Array {
    const joined = Buffer.allocUnsafe(bytes);
    let filled = 0;
    let used = 0;
    for (const chunk of this.#queue) {
      const part = chunk.subarray(0, bytes - filled);
      joined.set(part, filled);
      filled += part.length;
      if (part.length < chunk.length) {
        this.#queue[used] = chunk.subarray(part.length);
        break;
      }
      used += 1;
      if (filled === bytes) break;
    }
    this.#queue.splice(0, used);
    return joined;
  }

  #finish(): void {
    this.#over = true;
    this.#queue = [];
    this.#queuedBytes = 0;
    this.#done();
  }
}
