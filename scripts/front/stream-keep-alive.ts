import { Transform, type TransformCallback } from "node:stream";
import { EventBoundary, KEEP_ALIVE_COMMENT } from "../system/event-boundary.ts";
import { QUIET_STREAM_MS } from "./limits.ts";

/**
 * Passes an event stream through unchanged, and inserts a comment when the stream has been silent for `quietMs`. Without that,
 * clients and proxies end a stream that they take for dead.
 */
export class StreamKeepAlive extends Transform {
  readonly #timer: NodeJS.Timeout;
  readonly #boundary = new EventBoundary();

  constructor(quietMs: number = QUIET_STREAM_MS) {
    super();
    this.#timer = setInterval(() => {
      if (this.#boundary.isBetweenEvents) this.push(KEEP_ALIVE_COMMENT);
    }, quietMs);
    this.#timer.unref();
    this.on("close", () => clearInterval(this.#timer));
  }

  override _transform(chunk: Buffer, _: BufferEncoding, done: TransformCallback): void {
    this.#timer.refresh();
    this.#boundary.passed(chunk);
    done(null, chunk);
  }
}
