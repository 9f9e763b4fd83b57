import { machineUrls } from "#protocol/address.ts";
import type { MachineSummary } from "#protocol/rest-api.ts";
import type { AddressBindings } from "../http/host.ts";
import { type ProvisioningBindings, scriptVersion } from "./provisioning.ts";
import type { MachineRecord } from "./machine-record.ts";

/** A machine as lists show it. */
export function summaryOf(
  record: MachineRecord,
  env: AddressBindings & Pick<ProvisioningBindings, "REPORT_SECRET">,
): MachineSummary {
  const { mcpUrl, mcpHostUrl } = machineUrls(record.slug, env.ORIGIN, env.DOMAIN);
  return {
    name: record.name,
    slug: record.slug,
    status: record.online ? "online" : record.lastSeenMs === null ? "never_connected" : "offline",
    lastSeenMs: record.lastSeenMs,
    createdMs: record.createdMs,
    mcpUrl,
    mcpHostUrl,
    facts: record.facts,
    template: record.template,
    link: record.link,
    outdated: record.kind === undefined && record.template !== scriptVersion(env),
    ...(record.kind === undefined ? {} : { kind: record.kind }),
  };
}
