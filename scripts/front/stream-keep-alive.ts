import { Transform, type TransformCallback } from "node:stream";
import { QUIET_STREAM_MS } from "./limits.ts";

/** A line that begins with a colon is a comment, which clients ignore (HTML standard, "Server-sent events"). */
const COMMENT = Buffer.from(": keep-alive\n\n");

const NEWLINE = 0x0a;
const RETURN = 0x0d;

/**
 * Passes an event stream through untouched, and says something when the stream has been quiet for a while. A comment goes between
 * two events only: after an empty line, and before the first byte.
 */
export class StreamKeepAlive extends Transform {
  readonly #timer: NodeJS.Timeout;
  /** Line ends at the very end of what passed; two are an empty line. `\r\n` counts once. */
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
    // Only the end of the chunk matters, and three bytes are enough to tell.
    for (const byte of chunk.subarray(-4)) {
      if (byte === NEWLINE && this.#last === RETURN) {
        // The second half of `\r\n`, whose first half was counted.
      } else if (byte === NEWLINE || byte === RETURN) this.#lineEnds += 1;
      else this.#lineEnds = 0;
      this.#last = byte;
    }
    done(null, chunk);
  }
}
