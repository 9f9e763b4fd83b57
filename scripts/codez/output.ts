import { printableJson, printableLines } from "../system/printable.ts";
import { nameOf, type CodezFailure } from "./failure.ts";

/**
 * Where a command says things. What others wrote is escaped here; where it goes into a line of ours, the command also keeps
 * it to one line (`printable`).
 * To a person in lines, or to a program as one JSON value a line on standard output.
 */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** For a person alone. */
  line(text: string): void {
    if (!this.json) console.log(printableLines(text));
  }

  /** A result: `text` for a person, `value` for a program. */
  result(value: unknown, text: string): void {
    console.log(this.json ? printableJson(value) : printableLines(text));
  }

  failure(failure: CodezFailure): void {
    const { message, fix, exitCode } = failure;
    if (this.json) console.log(printableJson({ error: { code: nameOf(exitCode), message, fix } }));
    else console.error(printableLines(`error: ${message}\n  fix: ${fix}`));
  }
}
