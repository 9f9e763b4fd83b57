import { Command } from "commander";
import { DRAIN_EVENTS, eventsOf } from "../event-option.ts";
import { findOperator } from "../find-operator.ts";
import { targetOf } from "../make-target.ts";
import { DEFAULT_TARGET_URL } from "../profile/profile.ts";
import { Service } from "../service/service.ts";
import { checkServer } from "../setup/prove.ts";
import { describeSetup, setUp } from "../setup/set-up.ts";
import { Steps } from "../steps.ts";
import { type Context, outputOf, withHub } from "./context.ts";

type Options = {
  hub?: string;
  url?: string;
  profile?: string;
  replace?: boolean;
  service?: boolean;
  events: boolean;
  drainEvents?: boolean;
  json?: boolean;
};

/**
 * `codez setup`: adds this computer as a machine, or repairs its setup, and checks through the public endpoint that it is
 * online.
 */
export function setupCommand({ folder, command }: Context): Command {
  return withHub(
    new Command("setup").description(
      "add this computer as a machine, or repair its setup (running it again is harmless)",
    ),
  )
    .usage("[name] [options] [-- command...]")
    .argument("[name]", "name of the machine (default: this computer's name)")
    .option("--url <url>", `the MCP server to connect (default: ${DEFAULT_TARGET_URL})`)
    .option("--profile <name>", "name of the profile on this computer (default: the machine's name)")
    .option("--replace", "take the name over from another computer of yours")
    .option("--service", "install a service that connects whenever this computer starts")
    .option("--no-events", "do not fetch the server's events")
    .option("--drain-events", DRAIN_EVENTS)
    .action(async (given: string | undefined, options: Options) => {
      const output = outputOf(options);
      const steps = new Steps(output);
      const operator = await findOperator(options.hub, folder);
      const done = await setUp(
        operator,
        folder,
        {
          name: given,
          profileName: options.profile,
          target: targetOf(options.url, command),
          replace: options.replace === true,
          events: (known) => eventsOf(options, known),
        },
        steps,
      );
      const { key, profile } = done;
      const { name, mcpUrl, target } = profile;
      const server = await steps.run("asking the machine's MCP server who it is", () => checkServer(profile));
      const service = options.service === true ? await new Service(key).install(target) : null;
      const next = service === null ? `codez connect${folder.names().length > 1 ? ` ${key}` : ""}` : null;
      const lines = [
        ...describeSetup(done),
        `  its server        ${server.state === "up" ? "answers" : "does not answer"}: ${server.detail}`,
        ...(server.state === "up" ? [] : ["  look again        codez status"]),
        ...(service?.map((line) => `  ${line}`) ?? []),
        ...(next === null ? [] : [`Keep it connected: ${next}`]),
      ];
      output.result(
        { machine: name, profile: key, hub: profile.hub, mcpUrl, target, status: "online", server, service, next },
        lines,
      );
    });
}
