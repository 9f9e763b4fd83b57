import { printableJson, printableLines, printableQuote } from "#protocol/printable.ts";
import { asTyped, commandOf } from "./invocation.ts";
import { nameOf, type CodezFailure } from "./failure.ts";

/** How this codez was started, which is how the commands in its texts work. */
const COMMAND = commandOf(process.argv[1], process.env);

/**
 * A command's output: lines for a person, or one JSON value per line for a program, on standard output. Control characters in
 * text that others wrote are escaped here. Where such text is part of one of our lines, the command itself keeps it to one
 * line (`printable`), or marks the others (`printableQuote`).
 */
export class Output {
  readonly json: boolean;

  constructor(json: boolean) {
    this.json = json;
  }

  /** Prints a line for a person. Prints nothing with `--json`. */
  line(text: string): void {
    if (!this.json) console.log(printableLines(asTyped(text, COMMAND)));
  }

  /** A result: `text` for a person, `value` for a program. */
  result(value: unknown, text: string): void {
    console.log(this.json ? printableJson(value) : printableLines(asTyped(text, COMMAND)));
  }

  failure(failure: CodezFailure): void {
    const { message, fix, exitCode } = failure;
    if (this.json) console.log(printableJson({ error: { code: nameOf(exitCode), message, fix } }));
    // Operator, a machine or a server may have said the message, and must not say what to run.
    else console.error(`error: ${printableQuote(message)}\n  fix: ${printableLines(asTyped(fix, COMMAND))}`);
  }
}
