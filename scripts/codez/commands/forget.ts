import { Command } from "commander";
import { isSure } from "../ask.ts";
import { findOperator } from "../find-operator.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/** `codez forget`: deletes what Operator has seen of a machine, or of one session. */
export function forgetCommand({ folder }: Context): Command {
  return withHub(new Command("forget").description("delete the history of a machine or session from Operator"))
    .argument("<machine[/session]>", "a machine's name, also of a removed one, or a session's handle")
    .option("--former", "of the computers that had this name before, and not of the one that has it now")
    .option("--yes", "do not ask")
    .action(async (handle: string, options: { hub?: string; json?: boolean; yes?: boolean; former?: boolean }) => {
      const { former = false } = options;
      const operator = await findOperator(options.hub, folder);
      const slash = handle.indexOf("/");
      const [machine, session] = slash < 0 ? [handle, null] : [handle.slice(0, slash), handle.slice(slash + 1)];
      const whose = former ? `computers that were called "${machine}" before` : `"${machine}"`;
      const what = session === null ? `all events and sessions of ${whose}` : `session "${handle}" and its events`;
      const question = `Delete ${what} from ${operator.origin}? The machine itself keeps its own files.`;
      const again = `codez forget ${handle}${former ? " --former" : ""}`;
      if (!(await isSure(question, options, `${again} --yes`))) return;
      const forgotten = await operator.forget(machine, session, former);
      const deleted = `Deleted events: ${forgotten.events}, sessions: ${forgotten.sessions}.`;
      const left = `${forgotten.former} events and sessions of computers that had this name before are still there; delete them with: codez forget ${machine} --former`;
      const lines = forgotten.former === 0 ? [deleted] : [deleted, left];
      outputOf(options).result({ forgotten: handle, ...forgotten }, lines);
    });
}
