import { type Rate, TokenBucket } from "#protocol/token-bucket.ts";

/** Lines about refused clients. Somebody who is refused a thousand times a second would otherwise push everything else out of the log. */
const LINES: Rate = { perSecond: 0.2, burst: 20 };

/** Writes about clients that were refused, and how many lines it has left out. */
export class RefusalLog {
  readonly #log: (line: string) => void;
  readonly #now: () => number;
  readonly #lines: TokenBucket;
  #leftOut = 0;

  constructor(log: (line: string) => void, now: () => number = Date.now) {
    this.#log = log;
    this.#now = now;
    this.#lines = new TokenBucket(LINES, now());
  }

  tell(line: string): void {
    if (this.#lines.take(this.#now()) > 0) {
      this.#leftOut += 1;
      return;
    }
    const leftOut = this.#leftOut > 0 ? ` (${this.#leftOut} such lines were left out before this one)` : "";
    this.#leftOut = 0;
    this.#log(`front: ${line}${leftOut}`);
  }
}
