import { Command } from "commander";
import { isSure } from "../ask.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";
import { findOperator } from "../find-operator.ts";
import { Service } from "../service/service.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/** `codez remove`: removes a machine from Operator, and its profile and service from this computer. */
export function removeCommand({ folder }: Context): Command {
  return withHub(new Command("remove").description("remove a machine: its script, and its profile here"))
    .argument("<name>", "the machine")
    .option("--yes", "do not ask")
    .action(async (name: string, options: { hub?: string; json?: boolean; yes?: boolean }) => {
      const operator = await findOperator(options.hub, folder);
      const question = `Remove "${name}" from ${operator.origin}? What was seen of its sessions stays until \`codez forget ${name}\`.`;
      if (!(await isSure(question, options, `codez remove ${name} --yes`))) return;
      const keys = folder.names().filter((key) => {
        const profile = folder.read(key);
        return profile?.name === name && profile.hub === operator.origin;
      });
      const isGone = await operator.remove(name).then(
        () => false,
        (reason: unknown) => {
          // It was removed before, or from another computer. What is left of it here is still removed.
          if (reason instanceof CodezFailure && reason.exitCode === ExitCode.MACHINE_UNKNOWN && keys.length > 0)
            return true;
          throw reason;
        },
      );
      for (const key of keys) {
        await new Service(key).uninstall();
        folder.remove(key);
      }
      const text = isGone
        ? `"${name}" had been removed from Operator before. Its profile on this computer is now removed, too.`
        : `"${name}" is removed.`;
      outputOf(options).result({ removed: name, profiles: keys }, text);
    });
}
