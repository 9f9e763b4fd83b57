import { printableJson, printableQuote } from "#protocol/printable.ts";
import { print } from "../print.ts";
import { asTyped, commandOf } from "./invocation.ts";
import { nameOf, type CodezFailure } from "./failure.ts";

/** How this codez was started, which is how the commands in its texts work. */
const COMMAND = commandOf(process.argv[1], process.env);

/** A command's output: lines for a person, or one JSON value per line for a program, on standard output. What others wrote is escaped (print.ts). */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** Prints a line for a person. Prints nothing with `--json`. */
  line(text: string): void {
    if (!this.json) print(asTyped(text, COMMAND));
  }

  /** A result: a line or several for a person, `value` for a program. */
  result(value: unknown, lines: string | readonly string[]): void {
    if (this.json) console.log(printableJson(value));
    else print([lines].flat().map((line) => asTyped(line, COMMAND)));
  }

  failure(failure: CodezFailure): void {
    const { message, fix, exitCode } = failure;
    if (this.json) console.log(printableJson({ error: { code: nameOf(exitCode), message, fix } }));
    // Operator, a machine or a server may have said the message, and must not say what to run.
    else console.error(`error: ${printableQuote(message)}\n  fix: ${printableQuote(asTyped(fix, COMMAND))}`);
  }
}
