import { Command } from "commander";
import { checkName } from "../check-name.ts";
import { findOperator } from "../find-operator.ts";
import { renamed } from "../profile/profile.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/** `codez rename`: renames a machine, on whatever computer it is. A running connector switches to the new name by itself. */
export function renameCommand({ folder }: Context): Command {
  return withHub(new Command("rename").description("give a machine another name"))
    .argument("<old>", "its name now")
    .argument("<new>", "the new name")
    .action(async (from: string, given: string, options: { hub?: string; json?: boolean }) => {
      const to = checkName(given, `codez rename ${from}`);
      const operator = await findOperator(options.hub, folder);
      const machine = await operator.rename(from, to);
      for (const key of folder.names()) {
        const profile = folder.read(key);
        if (profile?.name === from && profile.hub === operator.origin) folder.write(key, renamed(profile, to));
      }
      outputOf(options).result(machine, `"${from}" is now "${to}": ${machine.mcpUrl}`);
    });
}
