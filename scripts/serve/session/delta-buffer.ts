/** Long enough that a fast model makes four events a second and not eighty; short enough to look alive. */
const FLUSH_AFTER_MS = 250;

/** Past this an event is sent at once. */
const FLUSH_AT_CHARS = 2_048;

/** Gathers the pieces of streamed text into fewer, larger ones. */
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

  /** To be called before anything else of the session is told, so that order is kept. */
  flush(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
    if (this.#text === "") return;
    const text = this.#text;
    this.#text = "";
    this.#emit(text);
  }
}
