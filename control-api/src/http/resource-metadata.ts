import { machineHostLabel, machinePathIn } from "#protocol/address.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import type { AddressBindings } from "./host.ts";

/** Where the metadata of the resource that a request was for is to be had (RFC 9728 section 3.1). */
export function metadataUrlOf(url: URL, env: AddressBindings): string {
  const isByPath = machineHostLabel(url.hostname, env.DOMAIN) === null;
  const isMachine = isByPath && machinePathIn(url.pathname)?.path === ScriptPath.MCP;
  return `${url.origin}/.well-known/oauth-protected-resource${isMachine ? url.pathname : ScriptPath.MCP}`;
}
