/** Long enough that a fast model causes four events a second instead of eighty; short enough to look live. */
const FLUSH_AFTER_MS = 250;

/** Text of this length is sent immediately. */
const FLUSH_AT_CHARS = 2_048;

/** Combines pieces of streamed text into fewer, larger ones. */
export class DeltaBuffer {
  readonly #emit: (text: string) => void;
  #text = "";
  #timer: NodeJS.Timeout | null = null;

  constructor(emit: (text: string) => void) {
    this.#emit = emit;
  }

  add(text: string): void {
    this.#text += text;
    if (this.#text.length >= FLUSH_AT_CHARS) this.flush();
    else this.#timer ??= setTimeout(() => this.flush(), FLUSH_AFTER_MS).unref();
  }

  /** Call this before any other event of the session, so that the order is kept. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    this.#emit(text);
  }
}
