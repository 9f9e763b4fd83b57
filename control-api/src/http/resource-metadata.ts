import { machineHostLabel, machinePathIn } from "#protocol/address.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import type { AddressBindings } from "./host.ts";

/** URL of the protected resource metadata for the resource that was requested (RFC 9728 section 3.1). */
export function metadataUrlOf(url: URL, env: AddressBindings): string {
  const isByPath = machineHostLabel(url.hostname, env.DOMAIN) === null;
  const isMachine = isByPath && machinePathIn(url.pathname)?.path === ScriptPath.MCP;
  return `${url.origin}/.well-known/oauth-protected-resource${isMachine ? url.pathname : ScriptPath.MCP}`;
}
