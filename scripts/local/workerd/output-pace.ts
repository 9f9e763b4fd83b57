/**
 * What is read of a script's output in a second, on average and at once. A line costs Operator's own process some 30 µs: it is parsed, escaped
 * and written to the log. At this pace that is below a hundredth of a processor, and a stack trace or a busy minute is not held up.
 */
const LINES_PER_S = 200;
const LINES_AT_ONCE = 5_000;
const BYTES_PER_S = 1_000_000;
const BYTES_AT_ONCE = 8_000_000;

/** However much came at once. Milliseconds. */
const LONGEST_REST_MS = 5_000;

/** How often the log says that a script prints too much. */
const TELL_AGAIN_MS = 60_000;

/**
 * How fast a script's output is read. What is not read stays in the pipe, which holds some kilobytes: then the script waits for its own
 * `console.log`, and a loop that prints costs nobody else anything.
 */
export class OutputPace {
  readonly #tell: (line: string) => void;
  readonly #nowMs: () => number;
  #lines = LINES_AT_ONCE;
  #bytes = BYTES_AT_ONCE;
  #atMs: number;
  #toldMs = Number.NEGATIVE_INFINITY;

  constructor(tell: (line: string) => void, nowMs = () => performance.now()) {
    this.#tell = tell;
    this.#nowMs = nowMs;
    this.#atMs = nowMs();
  }

  /** Counts what was read. Returns for how long nothing more may be read, in milliseconds. */
  restAfter(lines: number, bytes: number): number {
    const nowMs = this.#nowMs();
    const seconds = (nowMs - this.#atMs) / 1000;
    this.#atMs = nowMs;
    this.#lines = Math.min(LINES_AT_ONCE, this.#lines + seconds * LINES_PER_S) - lines;
    this.#bytes = Math.min(BYTES_AT_ONCE, this.#bytes + seconds * BYTES_PER_S) - bytes;
    const missing = Math.max(-this.#lines / LINES_PER_S, -this.#bytes / BYTES_PER_S);
    if (missing <= 0) return 0;
    if (nowMs - this.#toldMs >= TELL_AGAIN_MS) {
      this.#toldMs = nowMs;
      this.#tell(`it prints more than ${LINES_PER_S} lines or ${BYTES_PER_S / 1_000_000} MB a second, and has to wait`);
    }
    return Math.min(missing * 1000, LONGEST_REST_MS);
  }
}
