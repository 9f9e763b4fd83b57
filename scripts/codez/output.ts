import { nameOf, type CodezFailure } from "./failure.ts";

/** Where a command says things: to a person in lines, or to a program as one JSON value a line on standard output. */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** For a person alone. */
  line(text: string): void {
    if (!this.json) console.log(text);
  }

  /** A result: `text` for a person, `value` for a program. */
  result(value: unknown, text: string): void {
    console.log(this.json ? JSON.stringify(value) : text);
  }

  failure(failure: CodezFailure): void {
    const { message, fix, exitCode } = failure;
    if (this.json) console.log(JSON.stringify({ error: { code: nameOf(exitCode), message, fix } }));
    else console.error(`error: ${message}\n  fix: ${fix}`);
  }
}
