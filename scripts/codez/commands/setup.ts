import { Command } from "commander";
import { DRAIN_EVENTS, eventsOf } from "../event-option.ts";
import { findOperator } from "../find-operator.ts";
import { describeTarget, targetOf } from "../make-target.ts";
import { DEFAULT_TARGET_URL } from "../profile/profile.ts";
import { Service } from "../service/service.ts";
import { planSetup } from "../setup/plan.ts";
import { checkServer, proveOnline } from "../setup/prove.ts";
import { register, renewToken } from "../setup/register.ts";
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
      const plan = planSetup(folder, operator.origin, given, options.profile);
      const target = targetOf(options.url, command) ??
        plan.profile?.target ?? { kind: "url" as const, url: DEFAULT_TARGET_URL };
      const events = eventsOf(options, plan.profile?.events ?? true);

      const registered = await steps.run(`registering "${plan.name}" at ${operator.origin}`, () =>
        register(operator, plan, target, options.replace === true, events),
      );
      let { profile } = registered;
      folder.write(plan.key, profile);
      let proof = await steps.run("opening the link, and asking Operator whether it sees the machine", () =>
        proveOnline(operator, folder, plan.key, profile, registered.isNewToken),
      );
      if (proof.kind === "refused") {
        profile = await steps.run("saved token rejected; requesting a new one", () => renewToken(operator, profile));
        folder.write(plan.key, profile);
        proof = await steps.run("opening the link again", () => proveOnline(operator, folder, plan.key, profile, true));
      }
      const server = await steps.run("asking the machine's MCP server who it is", () => checkServer(profile));
      const service = options.service === true ? await new Service(plan.key).install(target) : null;
      const next = service === null ? `codez connect${folder.names().length > 1 ? ` ${plan.key}` : ""}` : null;
      const { name, mcpUrl } = profile;
      const lines = [
        `"${name}" is online at ${operator.origin}${registered.isNew ? "" : " (it was set up before)"}.`,
        `  its MCP server    ${describeTarget(target)}`,
        `                    ${server.state === "up" ? `answers: ${server.detail}` : `does not answer: ${server.detail}`}`,
        `  MCP, all machines ${operator.origin}/mcp`,
        `  MCP, this one     ${mcpUrl}`,
        ...(service?.map((line) => `  ${line}`) ?? []),
        ...(next === null ? [] : [`Keep it connected: ${next}`]),
      ];
      output.result(
        {
          machine: name,
          profile: plan.key,
          hub: operator.origin,
          mcpUrl,
          target,
          status: proof.kind,
          server,
          service,
          next,
        },
        lines.join("\n"),
      );
    });
}
