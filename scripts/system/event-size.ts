const NEWLINE = 0x0a;
const RETURN = 0x0d;

/** How much of the current event of an event stream has come: its readers hold all of an event until the empty line that ends it. */
export class EventSize {
  #bytes = 0;
  #lineBytes = 0;
  #isAfterReturn = false;

  /** The bytes of the event that is not complete yet. */
  get bytes(): number {
    return this.#bytes;
  }

  passed(chunk: Uint8Array): void {
    for (const byte of chunk) {
      const isSecondOfTwo = byte === NEWLINE && this.#isAfterReturn;
      this.#isAfterReturn = byte === RETURN;
      if (isSecondOfTwo) continue; // `\r\n` is one line end
      const isLineEnd = byte === RETURN || byte === NEWLINE;
      this.#bytes = isLineEnd && this.#lineBytes === 0 ? 0 : this.#bytes + 1;
      this.#lineBytes = isLineEnd ? 0 : this.#lineBytes + 1;
    }
  }
}
