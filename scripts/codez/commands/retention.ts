import { Command } from "commander";
import * as z from "zod";
import { isSure } from "../ask.ts";
import { findOperator } from "../find-operator.ts";
import { countIn } from "./argument.ts";
import { type Context, outputOf, withHub } from "./context.ts";

const Retention = z.object({ days: z.number(), events: z.number() });
const Effect = Retention.extend({ stored: z.number(), deletes: z.number() });

type Options = { hub?: string; json?: boolean; yes?: boolean; days?: number; rows?: number };

/** `codez retention`: how long Operator keeps events, and how many. */
export function retentionCommand({ folder }: Context): Command {
  return withHub(new Command("retention").description("show or set how long Operator keeps events, and how many"))
    .option("--days <count>", "delete events that are older, from 1 to 365 days", countIn)
    .option("--rows <count>", "keep at most so many events, from 1000 to 250000; the oldest go first", countIn)
    .option("--yes", "do not ask before events are deleted")
    .action(async (options: Options) => {
      const operator = await findOperator(options.hub, folder);
      const now = await operator.read(Retention, "GET", PATH);
      if (options.days === undefined && options.rows === undefined)
        return outputOf(options).result(now, `Kept: ${textOf(now)}.`);
      const chosen = { days: options.days ?? now.days, events: options.rows ?? now.events };
      // Says what is wrong with the numbers, too, before anything is asked.
      const query = new URLSearchParams({ days: String(chosen.days), events: String(chosen.events) });
      const { stored, deletes } = await operator.read(Effect, "GET", `${PATH}?${query}`);
      const question = `Keep ${textOf(chosen)}? This deletes ${deletes} of ${stored} events from ${operator.origin} now, and cannot be undone.`;
      const again = `codez retention --days ${chosen.days} --rows ${chosen.events} --yes`;
      if (deletes > 0 && !(await isSure(question, options, again))) return;
      await operator.ask("PUT", PATH, chosen);
      outputOf(options).result(
        { ...chosen, deleted: deletes },
        `Kept from now on: ${textOf(chosen)}. Deleted: ${deletes} events.`,
      );
    });
}

const PATH = "/api/history/retention";

function textOf({ days, events }: z.infer<typeof Retention>): string {
  return `events of the last ${days} days, at most ${events}`;
}
