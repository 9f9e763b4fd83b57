import { Command } from "commander";
import type { MachineSummary } from "#protocol/rest-api.ts";
import { findHub } from "../hub-address.ts";
import { type Context, outputOf, withHub } from "./context.ts";

/** `codez machines`: all machines of this person, as Operator knows them. */
export function machinesCommand({ folder }: Context): Command {
  return withHub(new Command("machines").description("list your machines")).action(
    async (options: { hub?: string; json?: boolean }) => {
      const hub = await findHub(options.hub, folder);
      const machines = await hub.machines();
      const none = `No machines at ${hub.origin} yet. Add this one: codez setup`;
      outputOf(options).result({ machines }, machines.length === 0 ? none : tableOf(machines));
    },
  );
}

function tableOf(machines: readonly MachineSummary[]): string {
  const rows = machines.map(({ name, status, lastSeenMs, facts, mcpUrl }) => [
    name,
    status.replaceAll("_", " "),
    lastSeenMs === null ? "-" : new Date(lastSeenMs).toISOString(),
    facts === null ? "-" : `${facts.hostname} (${facts.os})`,
    mcpUrl,
  ]);
  const table = [["NAME", "STATUS", "LAST SEEN", "COMPUTER", "MCP URL"], ...rows];
  const widths = (table[0] ?? []).map((_, column) => Math.max(...table.map((row) => row[column]?.length ?? 0)));
  return table
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}
