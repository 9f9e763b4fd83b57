/**
 * How a machine's script tells the gate that an event stream has ended as its server meant it to.
 *
 * Between the two lie two connections that the platform keeps. When a script fails in the middle of a body (its object is reset, its disk
 * is full), workerd ends the body's last chunk as if the body were complete. An event stream has no length and may end without an answer
 * (MCP's servers may close one and let the client resume), so the gate could not tell the two apart, and a caller would wait for an
 * answer that never comes. So a gate that asks for it (`OperatorHeader.MARK_END`) gets one more byte at the end, and removes it.
 */

/** ASCII "end of text". Servers write JSON into event streams, and JSON escapes it. */
const MARK = 0x03;

/** The mark as a chunk of its own. */
export const END_MARK: Uint8Array = Uint8Array.of(MARK);

/** A stream's last bytes, marked. */
export function withEndMark(last: Uint8Array): Uint8Array {
  const marked = new Uint8Array(last.length + 1);
  marked.set(last);
  marked[last.length] = MARK;
  return marked;
}

/** Removes the mark from a stream's end, and knows whether it was there. The same byte elsewhere passes unchanged. */
export class EndMark {
  #held = false;

  /** Whether the last byte so far is the mark: the stream is complete if it ends now. */
  get isThere(): boolean {
    return this.#held;
  }

  /** What can be passed on of the stream after this chunk. Empty when it was only the mark. */
  strip(chunk: Uint8Array): Uint8Array {
    if (chunk.length === 0) return chunk;
    const held = this.#held;
    this.#held = chunk.at(-1) === MARK;
    const own = this.#held ? chunk.subarray(0, -1) : chunk;
    if (!held) return own;
    // What was held back was not the end, so it belongs to the stream.
    const whole = new Uint8Array(own.length + 1);
    whole[0] = MARK;
    whole.set(own, 1);
    return whole;
  }
}
