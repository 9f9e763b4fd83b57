import { Command } from "commander";
import { holderOf } from "../../system/lock.ts";
import { ExitCode } from "../exit-code.ts";
import { presenceOf } from "../link-status.ts";
import { fingerprintOf } from "#protocol/link-key.ts";
import { describeLink, linkWarnings } from "../describe-link.ts";
import { describeTarget } from "../make-target.ts";
import { configProblem } from "../serve-failure.ts";
import { checkServer } from "../setup/prove.ts";
import { type Context, JSON_OPTION, outputOf } from "./context.ts";

/**
 * `codez status`: the state of one machine, as seen on this computer and by Operator. The machine's link token suffices, so it
 * never asks anybody to sign in. Exits with NOT_ONLINE when the machine is not online.
 */
export function statusCommand({ folder }: Context): Command {
  return new Command("status")
    .description("show whether this machine is online, and whether its MCP server answers")
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .option(...JSON_OPTION)
    .action(async (name: string | undefined, options: { json?: boolean }) => {
      const { key, profile } = folder.choose(name);
      const connector = holderOf(folder.file(key, ".lock"));
      const [presence, server] = await Promise.all([presenceOf(profile), checkServer(profile)]);
      const status = presence.online ? "online" : presence.lastSeenMs === null ? "never_connected" : "offline";
      const { mcpUrl, slug, target } = profile;
      const own = folder.publicLinkKey(key);
      const { link } = presence;
      const [linkKey = "", linkToken = ""] = describeLink(link, own === null ? null : await fingerprintOf(own));
      const policy = configProblem();
      const lines = [
        `machine    ${profile.name} at ${profile.hub}`,
        `status     ${status.replaceAll("_", " ")}${presence.online && server.state === "down" ? ", but its MCP server is down" : ""}`,
        `connector  ${connector === null ? "not running on this computer: codez connect" : `process ${connector.pid}, ${connector.state} ${connector.detail}`.trimEnd()}`,
        `server     ${describeTarget(target)}`,
        `           ${server.state === "up" ? "answers" : "does not answer"}: ${server.detail}`,
        `MCP URL    ${mcpUrl}`,
        `link       ${linkKey}`,
        `           ${linkToken}`,
        ...(policy === null ? [] : `warning    ${policy.message}`.split("\n")),
        ...linkWarnings(profile.name, link).map((warning) => `warning    ${warning}`),
      ];
      const { lastSeenMs, connectedAtMs, facts, template } = presence;
      const machine = {
        name: profile.name,
        slug,
        status,
        lastSeenMs,
        connectedAtMs,
        mcpUrl,
        facts,
        template,
        link: link ?? null,
      };
      outputOf(options).result(
        { ...machine, hub: profile.hub, connector, target, server, policyProblem: policy?.message ?? null },
        lines,
      );
      if (!presence.online) process.exitCode = ExitCode.NOT_ONLINE;
      if (policy !== null) process.exitCode = policy.exitCode;
    });
}
