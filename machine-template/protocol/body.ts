import { CHUNK_BYTES, WINDOW_BYTES, WINDOW_STEP_BYTES } from "./limits.ts";

/**
 * Flow control of bodies, the same code on both ends of the link: `Credit` and `sendBytes` on the sending side, `InboundBody`
 * on the receiving side.
 *
 * A Durable Object's `WebSocket.send()` never blocks and never reports how much it has buffered, so the link needs credit of
 * its own (like an HTTP/2 stream window): a sender may have at most `WINDOW_BYTES` in flight, and the receiver returns credit
 * only as its reader takes the bytes. A slow reader therefore costs at most one window of memory, and does not delay the
 * other exchanges on the same link.
 */

/**
 * Chunks that arrive while nobody reads are kept together in buffers of this size, unless they are larger. A message of one byte takes some 100
 * bytes of memory: in such messages a window would cost 25 MB, and half a minute to take one by one from the front of so long a queue.
 */
const GATHER_BYTES = 4 * 1024;

/**
 * The bytes that a sender may still send. `take` waits until there is credit. After `fail`, every `take` rejects with the
 * reason.
 */
export class Credit {
  #bytes: number;
  #failure: Error | null = null;
  #waiting: { resolve: () => void; reject: (reason: Error) => void } | null = null;

  constructor(bytes: number = WINDOW_BYTES) {
    this.#bytes = bytes;
  }

  /** Uses up to `wanted` bytes of credit and returns how many; waits while there is none. Supports one waiter at a time. */
  async take(wanted: number): Promise<number> {
    while (this.#failure === null && this.#bytes === 0) {
      await new Promise<void>((resolve, reject) => {
        this.#waiting = { resolve, reject };
      });
    }
    if (this.#failure !== null) throw this.#failure;
    const taken = Math.min(wanted, this.#bytes);
    this.#bytes -= taken;
    return taken;
  }

  /** Adds what the receiver has read. Returns `false` when it is more than was sent to it: it would have the sender's memory hold what it does not read. */
  grant(bytes: number): boolean {
    if (this.#bytes + bytes > WINDOW_BYTES) return false;
    this.#bytes += bytes;
    this.#waiting?.resolve();
    this.#waiting = null;
    return true;
  }

  fail(reason: Error): void {
    this.#failure ??= reason;
    this.#waiting?.reject(this.#failure);
    this.#waiting = null;
  }
}

/** Sends `bytes` in chunks, as fast as credit allows. Rejects when the credit fails. */
export async function sendBytes(bytes: Uint8Array, credit: Credit, send: (chunk: Uint8Array) => void): Promise<void> {
  let offset = 0;
  while (offset < bytes.length) {
    const taken = await credit.take(Math.min(CHUNK_BYTES, bytes.length - offset));
    send(bytes.subarray(offset, offset + taken));
    offset += taken;
  }
}

/** Receives one body as a stream, and returns credit to the sender as the stream is read. */
export class InboundBody {
  readonly stream: ReadableStream<Uint8Array>;
  readonly #grant: (bytes: number) => void;
  readonly #queue: Uint8Array[] = [];
  /** The buffer of the queue's last chunk, if small chunks are gathered there. */
  #gathering: Uint8Array | null = null;
  #queuedBytes = 0;
  #unreturned = 0;
  #controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  #pulled: (() => void) | null = null;
  #ended = false;

  /**
   * @param grant gives the sender this many more bytes of credit.
   * @param cancelled called once, when the reader cancels the stream before its end.
   */
  constructor(grant: (bytes: number) => void, cancelled: (reason: unknown) => void) {
    this.#grant = grant;
    this.stream = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller;
        },
        pull: () => this.#pull(),
        cancel: (reason) => {
          this.#ended = true;
          this.#release();
          cancelled(reason);
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Whether the reader has everything that came, and waits for more. */
  get isAwaited(): boolean {
    return this.#pulled !== null;
  }

  /** Accepts a chunk. Returns `false` when the sender has exceeded its credit. */
  push(chunk: Uint8Array): boolean {
    if (this.#ended || chunk.length === 0) return true;
    if (this.#queuedBytes + this.#unreturned + chunk.length > WINDOW_BYTES) return false;
    this.#keep(chunk);
    this.#queuedBytes += chunk.length;
    if (this.#pulled !== null) this.#deliver();
    return true;
  }

  /** Ends the body. Chunks that were accepted before can still be read. */
  end(): void {
    this.#ended = true;
    if (this.#queue.length === 0) this.#close();
  }

  /** Fails the body: buffered chunks are dropped, and the reader's next read rejects with `reason`. */
  fail(reason: Error): void {
    if (this.#controller === null) return;
    this.#ended = true;
    this.#controller.error(reason);
    this.#release();
  }

  /**
   * Ends the body with `last` after the chunks accepted so far. Used to tell the reader of an event stream that its sender is
   * lost.
   */
  endWith(last: Uint8Array): void {
    if (this.#controller === null || this.#ended) return;
    this.#queue.push(last);
    this.#queuedBytes += last.length;
    this.#ended = true;
    if (this.#pulled !== null) this.#deliver();
  }

  /** Puts a chunk at the queue's end. One that follows others which wait is copied, as long as it is small. */
  #keep(chunk: Uint8Array): void {
    const last = this.#queue.at(-1);
    if (last === undefined || chunk.length >= GATHER_BYTES) {
      this.#gathering = null;
      this.#queue.push(chunk);
      return;
    }
    let used = 0;
    if (this.#gathering === null || last.length + chunk.length > GATHER_BYTES) {
      this.#gathering = new Uint8Array(GATHER_BYTES);
    } else {
      this.#queue.pop();
      used = last.length;
    }
    this.#gathering.set(chunk, used);
    this.#queue.push(this.#gathering.subarray(0, used + chunk.length));
  }

  #pull(): Promise<void> | void {
    if (this.#queue.length > 0) return this.#deliver();
    if (this.#ended) return this.#close();
    return new Promise((resolve) => {
      this.#pulled = resolve;
    });
  }

  #deliver(): void {
    const chunk = this.#queue.shift();
    if (chunk === undefined || this.#controller === null) return;
    this.#queuedBytes -= chunk.length;
    this.#unreturned += chunk.length;
    this.#controller.enqueue(chunk);
    this.#settlePull();
    if (this.#ended) {
      if (this.#queue.length === 0) this.#close();
      return;
    }
    if (this.#unreturned < WINDOW_STEP_BYTES) return;
    this.#grant(this.#unreturned);
    this.#unreturned = 0;
  }

  #close(): void {
    this.#controller?.close();
    this.#release();
  }

  #release(): void {
    this.#controller = null;
    this.#queue.length = 0;
    this.#settlePull();
  }

  #settlePull(): void {
    this.#pulled?.();
    this.#pulled = null;
  }
}
