import { appendFileSync, renameSync, statSync } from "node:fs";
import { isMissing } from "./file.ts";

/** Some days of an ordinary Operator's output. With the file before it, a log never takes twice as much. */
const LOG_LIMIT_BYTES = 5_000_000;
/** A message of megabytes would push everything else out of the log. */
const LINE_LIMIT_CHARACTERS = 20_000;

/**
 * A log that is bounded and never in the way: lines are appended, a full file becomes `<path>.1` in place of an older
 * one, and what cannot be written (a full disk) is counted and told about, once, when it begins and when it is over.
 */
export class LogFile {
  readonly #path: string;
  readonly #tell: (line: string) => void;
  readonly #limitBytes: number;
  #bytes: number | undefined;
  #lost = 0;

  constructor(path: string, tell: (line: string) => void, limitBytes = LOG_LIMIT_BYTES) {
    this.#path = path;
    this.#tell = tell;
    this.#limitBytes = limitBytes;
  }

  /** Written at once and in order, so that the last lines before a crash are there. Never throws. */
  write(line: string): void {
    const text = `${line.length > LINE_LIMIT_CHARACTERS ? `${line.slice(0, LINE_LIMIT_CHARACTERS)} ...` : line}\n`;
    try {
      this.#append(text);
      if (this.#lost === 0) return;
      const lost = this.#lost;
      this.#lost = 0;
      const over = `${this.#path} can be written again; ${lost} lines before this one are missing`;
      this.#append(`${over}\n`);
      this.#tell(over);
    } catch (error) {
      this.#lost += 1;
      if (this.#lost === 1)
        this.#tell(`${this.#path} cannot be written (${String(error)}); Operator goes on without it`);
    }
  }

  #append(text: string): void {
    this.#bytes ??= sizeOf(this.#path);
    if (this.#bytes > 0 && this.#bytes + text.length > this.#limitBytes) {
      renameSync(this.#path, `${this.#path}.1`);
      this.#bytes = 0;
    }
    appendFileSync(this.#path, text, { mode: 0o600 });
    this.#bytes += Buffer.byteLength(text);
  }
}

function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch (error) {
    if (isMissing(error)) return 0;
    throw error;
  }
}
