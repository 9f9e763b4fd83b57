import { Command } from "commander";
import { findOperator } from "../find-operator.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/**
 * `codez restore`: gives a machine's name back to the computer, or the link key, that had it before. It undoes a takeover that its
 * person did not want.
 */
export function restoreCommand({ folder }: Context): Command {
  return withHub(
    new Command("restore").description("give a machine back to the computer, or link key, that had it before"),
  )
    .argument("<name>", "the machine")
    .action(async (name: string, options: { hub?: string; json?: boolean }) => {
      const operator = await findOperator(options.hub, folder, "admin");
      const machine = await operator.restore(name);
      const text = `"${name}" belongs again to the computer that had it before. On that computer: codez connect ${name}`;
      outputOf(options).result(machine, text);
    });
}
