/** The smallest and the largest piece, in bytes. The first is what workerd takes for a reader that brings no room of its own. */
const MIN_PIECE_BYTES = 4 * 1024;
const MAX_PIECE_BYTES = 64 * 1024;

/**
 * Reads a body in pieces that grow with it: as many bytes at once as have come so far, from 4 KB to 64 KB. workerd's plain reader (1.20260815.1) gives
 * 4 KB at most, and each read is a call from the runtime into JavaScript. Beyond the first 4 KB, the room for a piece is never larger than what the
 * sender has sent.
 */
export class BodyReader {
  readonly #reader: ReadableStreamBYOBReader | null;
  /** For a stream that was made by JavaScript, which gives its chunks as they are. */
  readonly #plain: ReadableStreamDefaultReader<Uint8Array> | null;
  #room = new Uint8Array(MIN_PIECE_BYTES);
  #readBytes = 0;

  constructor(body: ReadableStream<Uint8Array>) {
    this.#reader = byteReaderOf(body);
    this.#plain = this.#reader === null ? body.getReader() : null;
  }

  /** The bytes that are held for the next piece. A stream that was made by JavaScript brings its own. */
  get roomBytes(): number {
    return this.#reader === null ? 0 : this.#room.byteLength;
  }

  /** The next piece, which is valid until the next call; `null` at the end. Rejects when the body breaks off. */
  async read(): Promise<Uint8Array | null> {
    if (this.#reader === null) return (await this.#plain?.read())?.value ?? null;
    const wanted = Math.min(MAX_PIECE_BYTES, Math.max(MIN_PIECE_BYTES, this.#readBytes));
    const room = this.#room.byteLength < wanted ? new Uint8Array(wanted) : this.#room;
    const { done, value } = await this.#reader.read(room);
    if (done || value === undefined) return null;
    this.#room = new Uint8Array(value.buffer);
    this.#readBytes += value.byteLength;
    return value;
  }

  /** Wants no more of it. */
  async cancel(reason?: unknown): Promise<void> {
    await (this.#reader ?? this.#plain)?.cancel(reason);
  }
}

/**
 * The same body, each piece of which is shown to `look` before it is passed on. If that throws, the body breaks off with the reason, and its sender is
 * told to stop.
 */
export function inspected(
  body: ReadableStream<Uint8Array>,
  look: (piece: Uint8Array) => Promise<void>,
): ReadableStream<Uint8Array> {
  const reader = new BodyReader(body);
  return new ReadableStream(
    {
      async pull(controller) {
        try {
          const piece = await reader.read();
          if (piece === null) return controller.close();
          await look(piece);
          controller.enqueue(piece.slice()); // a piece is valid until the next is read
        } catch (reason) {
          void reader.cancel(reason).catch(() => undefined); // it may have broken off itself
          throw reason;
        }
      },
      cancel: (reason) => reader.cancel(reason),
    },
    { highWaterMark: 0 },
  );
}

/** `null` for a stream whose chunks are not read into a given room. */
function byteReaderOf(body: ReadableStream<Uint8Array>): ReadableStreamBYOBReader | null {
  try {
    return body.getReader({ mode: "byob" });
  } catch (reason) {
    if (reason instanceof TypeError && !body.locked) return null;
    throw reason;
  }
}
