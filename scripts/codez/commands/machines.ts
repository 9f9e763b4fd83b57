import { Command } from "commander";
import type { MachineSummary } from "#protocol/rest-api.ts";
import { linkWarnings } from "../describe-link.ts";
import { isoTime } from "#protocol/iso-time.ts";
import { findOperator } from "../find-operator.ts";
import { type Context, outputOf, withHub } from "./context.ts";
import { tableOf } from "./table.ts";

/** `codez machines`: all machines of the signed-in person, as Operator lists them. */
export function machinesCommand({ folder }: Context): Command {
  return withHub(new Command("machines").description("list your machines")).action(
    async (options: { hub?: string; json?: boolean }) => {
      const operator = await findOperator(options.hub, folder, "read");
      const machines = await operator.machines();
      const none = `No machines at ${operator.origin} yet. Add this one: codez setup`;
      outputOf(options).result({ machines }, machines.length === 0 ? none : listOf(machines));
    },
  );
}

function listOf(machines: readonly MachineSummary[]): string[] {
  const rows = machines.map(({ name, status, lastSeenMs, facts, mcpUrl }) => [
    name,
    status === "online" && facts?.server === "down" ? "server down" : status.replaceAll("_", " "),
    lastSeenMs === null ? "-" : isoTime(lastSeenMs),
    facts === null ? "-" : `${facts.hostname} (${facts.os})`,
    mcpUrl,
  ]);
  const table = tableOf([["NAME", "STATUS", "LAST SEEN", "COMPUTER", "MCP URL"], ...rows]);
  const warnings = machines.flatMap(({ name, link }) => linkWarnings(name, link));
  return [...table, ...warnings.map((warning) => `warning: ${warning}`)];
}
