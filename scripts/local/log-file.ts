import { appendFileSync, renameSync, statSync } from "node:fs";
import { isMissing } from "../system/is-missing.ts";

/** Some days of output of an ordinary Operator. Together with the previous file, a log takes at most twice as much. */
const LOG_LIMIT_BYTES = 5_000_000;
/** A message of megabytes would push everything else out of the log. */
const LINE_LIMIT_CHARACTERS = 20_000;

/**
 * A log of bounded size that never makes its caller fail. Lines are appended; a full file is renamed to `<path>.1`, replacing
 * the previous one. Lines that cannot be written (a full disk) are counted. The first lost line and the recovery are
 * reported once each.
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

  /** Writes synchronously, so that the file has the last lines before a crash. Never throws. */
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
        this.#tell(`${this.#path} cannot be written (${String(error)}); Operator continues without a log`);
    }
  }

  #append(text: string): void {
    this.#bytes ??= sizeOf(this.#path);
    if (this.#bytes > 0 && this.#bytes + text.length > this.#limitBytes) {
      this.#setAside();
      this.#bytes = 0;
    }
    appendFileSync(this.#path, text, { mode: 0o600 });
    this.#bytes += Buffer.byteLength(text);
  }

  #setAside(): void {
    try {
      renameSync(this.#path, `${this.#path}.1`);
    } catch (error) {
      if (!isMissing(error)) throw error; // somebody has removed it
    }
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
