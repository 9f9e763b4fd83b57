import { Command } from "commander";
import { isSure } from "../ask.ts";
import { findOperator } from "../find-operator.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/** `codez forget`: deletes what Operator has seen of a machine, or of one session. */
export function forgetCommand({ folder }: Context): Command {
  return withHub(new Command("forget").description("delete the history of a machine or session from Operator"))
    .argument("<machine[/session]>", "a machine's name, also of a removed one, or a session's handle")
    .option("--yes", "do not ask")
    .action(async (handle: string, options: { hub?: string; json?: boolean; yes?: boolean }) => {
      const operator = await findOperator(options.hub, folder);
      const slash = handle.indexOf("/");
      const [machine, session] = slash < 0 ? [handle, null] : [handle.slice(0, slash), handle.slice(slash + 1)];
      const what = session === null ? `all events and sessions of "${machine}"` : `session "${handle}" and its events`;
      const question = `Delete ${what} from ${operator.origin}? The machine itself keeps its own files.`;
      if (!(await isSure(question, options, `codez forget ${handle} --yes`))) return;
      const forgotten = await operator.forget(machine, session);
      const text = `Deleted: ${forgotten.events} events, ${forgotten.sessions} sessions.`;
      outputOf(options).result({ forgotten: handle, ...forgotten }, text);
    });
}
