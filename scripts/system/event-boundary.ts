const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** A comment in an event stream, which every reader ignores (HTML standard, "Server-sent events"). */
export const KEEP_ALIVE_COMMENT: Uint8Array = Buffer.from(": keep-alive\n\n");

/**
 * Whether an event stream is between two events. An event ends with an empty line, and chunks may end anywhere inside an event, so a
 * comment may be inserted only after an empty line or before the first byte; elsewhere it would corrupt the event.
 */
export class EventBoundary {
  /** Consecutive line ends at the end of the data so far; two mean an empty line. `\r\n` counts once. Starts as if after an event. */
  #lineEnds = 2;
  #last = 0;

  get isBetweenEvents(): boolean {
    return this.#lineEnds >= 2;
  }

  passed(chunk: Uint8Array): void {
    // Only the end of the chunk matters. `\r\n\r\n`, the longest empty line, has four bytes.
    for (const byte of chunk.subarray(-4)) {
      if (byte === NEWLINE && this.#last === RETURN) {
        // The `\n` of `\r\n`: the `\r` was already counted.
      } else if (byte === NEWLINE || byte === RETURN) this.#lineEnds += 1;
      else this.#lineEnds = 0;
      this.#last = byte;
    }
  }
}
