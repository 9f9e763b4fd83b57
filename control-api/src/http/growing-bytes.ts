/** Bytes that arrive in chunks, in one buffer that grows. A list of the chunks would take a hundred times their bytes if each has only one. */
export class GrowingBytes {
  #room = new Uint8Array();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  /** The bytes that are held for them in memory: at least as many. */
  get capacity(): number {
    return this.#room.byteLength;
  }

  get bytes(): Uint8Array<ArrayBuffer> {
    return this.#room.subarray(0, this.#length);
  }

  /** @param limit the most that there will be, so that no more is held. The caller has checked that this chunk is within it */
  add(chunk: Uint8Array, limit: number): void {
    const length = this.#length + chunk.byteLength;
    if (length > this.#room.byteLength) this.reserve(Math.min(limit, Math.max(length, 2 * this.#room.byteLength)));
    this.#room.set(chunk, this.#length);
    this.#length = length;
  }

  /** Makes room for this many bytes at once, which have been announced and counted. */
  reserve(bytes: number): void {
    if (bytes <= this.#room.byteLength) return;
    const larger = new Uint8Array(bytes);
    larger.set(this.bytes);
    this.#room = larger;
  }

  clear(): void {
    this.#room = new Uint8Array();
    this.#length = 0;
  }
}
