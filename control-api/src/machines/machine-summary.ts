import type { MachineSummary } from "#protocol/rest-api.ts";
import type { Env } from "../env.ts";
import { TEMPLATE } from "./provisioning.ts";
import type { MachineRecord } from "../user/registry.ts";

/** A machine as every list shows it. */
export function summaryOf(record: MachineRecord, env: Env): MachineSummary {
  return {
    name: record.name,
    slug: record.slug,
    status: record.online ? "online" : record.lastSeenMs === null ? "never_connected" : "offline",
    lastSeenMs: record.lastSeenMs,
    createdMs: record.createdMs,
    ...addressesOf(record.slug, env),
    facts: record.facts,
    template: record.template,
    outdated: record.template !== TEMPLATE,
  };
}

/** The machine's own MCP endpoints, by path and by host. */
export function addressesOf(slug: string, env: Env): { mcpUrl: string; mcpHostUrl: string } {
  const host = new URL(env.ORIGIN);
  const port = host.port === "" ? "" : `:${host.port}`;
  return { mcpUrl: `${env.ORIGIN}/m/${slug}/mcp`, mcpHostUrl: `${host.protocol}//${slug}.${env.DOMAIN}${port}/mcp` };
}
