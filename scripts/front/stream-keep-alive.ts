import { Transform, type TransformCallback } from "node:stream";
import { QUIET_STREAM_MS } from "./limits.ts";

/** A line that begins with a colon is a comment, which clients ignore (HTML standard, "Server-sent events"). */
const COMMENT = Buffer.from(": keep-alive\n\n");

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * Passes an event stream through unchanged, and inserts a comment when the stream has been silent for `quietMs`. Without that,
 * clients and proxies end a stream that they take for dead. An event ends with an empty line, and chunks may end anywhere inside
 * an event, so a comment is only allowed after an empty line or before the first byte; elsewhere it would corrupt the event.
 */
export class StreamKeepAlive extends Transform {
  readonly #timer: NodeJS.Timeout;
  /** Consecutive line ends at the end of the data so far; two mean an empty line. `\r\n` counts once. Starts as if after an event. */
  #lineEnds = 2;
  #last = 0;

  constructor(quietMs: number = QUIET_STREAM_MS) {
    super();
    this.#timer = setInterval(() => {
      if (this.#lineEnds >= 2) this.push(COMMENT);
    }, quietMs);
    this.#timer.unref();
    this.on("close", () => clearInterval(this.#timer));
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.#timer.refresh();
    // Only the end of the chunk matters. `\r\n\r\n`, the longest empty line, has four bytes.
    for (const byte of chunk.subarray(-4)) {
      if (byte === NEWLINE && this.#last === RETURN) {
        // The `\n` of `\r\n`: the `\r` was already counted.
      } else if (byte === NEWLINE || byte === RETURN) this.#lineEnds += 1;
      else this.#lineEnds = 0;
      this.#last = byte;
    }
    done(null, chunk);
  }
}
