import { spinner } from "@clack/prompts";
import type { Output } from "./output.ts";

/** Shows progress: a spinner on a terminal, a line in a log, nothing with `--json`. */
export class Steps {
  readonly #output: Output;

  constructor(output: Output) {
    this.#output = output;
  }

  async run<Result>(what: string, act: () => Promise<Result>): Promise<Result> {
    if (this.#output.json) return act();
    if (!process.stdout.isTTY) {
      this.#output.line(`${what} ...`);
      return act();
    }
    const spin = spinner();
    spin.start(what);
    try {
      const result = await act();
      spin.stop(what);
      return result;
    } catch (reason) {
      spin.error(what);
      throw reason;
    }
  }
}
