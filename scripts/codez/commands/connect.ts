import { Command } from "commander";
import { connectMachine, untilInterrupted } from "../connect-machine.ts";
import { DRAIN_EVENTS, eventsOf } from "../event-option.ts";
import { LAUNCHD_OPTION } from "../launchd.ts";
import { targetOf } from "../make-target.ts";
import { type Context, JSON_OPTION, outputOf } from "./context.ts";

type Options = { url?: string; events: boolean; drainEvents?: boolean; json?: boolean };

/** `codez connect`: keeps this machine's link up until Ctrl-C. */
export function connectCommand({ folder, command }: Context): Command {
  return new Command("connect")
    .description("connect this machine's MCP server to Operator until Ctrl-C")
    .usage("[name] [options] [-- command...]")
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .option("--url <url>", "address of the MCP server, instead of the one given to setup")
    .option("--no-events", "do not fetch the server's events")
    .option("--drain-events", DRAIN_EVENTS)
    .option(...JSON_OPTION)
    .addOption(LAUNCHD_OPTION)
    .action(async (name: string | undefined, options: Options) => {
      const { key, profile } = folder.choose(name);
      await connectMachine({
        folder,
        key,
        profile,
        target: targetOf(options.url, command) ?? profile.target,
        events: eventsOf(options, profile.events),
        output: outputOf(options),
        interrupted: untilInterrupted(),
      });
    });
}
