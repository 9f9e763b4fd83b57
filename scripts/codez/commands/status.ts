import { Command } from "commander";
import { ExitCode } from "../exit-code.ts";
import { findOperator } from "../find-operator.ts";
import { describeTarget } from "../make-target.ts";
import { holderOf } from "../../system/lock.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/**
 * `codez status`: the state of one machine, as seen on this computer and by Operator. Exits with NOT_ONLINE when it is not
 * online.
 */
export function statusCommand({ folder }: Context): Command {
  return withHub(new Command("status").description("show whether this machine is online"))
    .argument("[name]", "the machine (needed when this computer is set up as several)")
    .action(async (name: string | undefined, options: { hub?: string; json?: boolean }) => {
      const { key, profile } = folder.choose(name);
      const operator = await findOperator(options.hub ?? profile.hub, folder);
      const detail = await operator.machine(profile.name);
      const connector = holderOf(folder.file(key, ".lock"));
      const isOnline = detail.status === "online";
      const lines = [
        `machine    ${profile.name} at ${profile.hub}`,
        `status     ${detail.status.replaceAll("_", " ")}${detail.error === null ? "" : ` (${detail.error.message})`}`,
        `connector  ${connector === null ? "not running on this computer: codez connect" : `process ${connector.pid}, ${connector.state} ${connector.detail}`.trimEnd()}`,
        `server     ${describeTarget(profile.target)}`,
        `MCP URL    ${detail.mcpUrl}`,
      ];
      outputOf(options).result({ ...detail, connector, target: profile.target }, lines.join("\n"));
      if (!isOnline) process.exitCode = ExitCode.NOT_ONLINE;
    });
}
