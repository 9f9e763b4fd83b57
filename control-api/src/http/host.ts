import { machineHostLabel } from "#protocol/address.ts";
import { errorResponse } from "#protocol/error.ts";
import { isLoopbackHost } from "#protocol/loopback-host.ts";

export type AddressBindings = {
  /** The domain under which every machine has its own host. */
  readonly DOMAIN: string;
  /** The origin at which clients reach Operator itself. */
  readonly ORIGIN: string;
};

/**
 * Whether a host is that of Operator itself. Hosts under its domain belong to machines. Any other is a foreign name that
 * resolves to this address (DNS rebinding). A local start accepts every name that a computer has for itself.
 */
export function isOwnHost(hostname: string, env: AddressBindings): boolean {
  if (hostname === env.DOMAIN) return true;
  const own = new URL(env.ORIGIN).hostname;
  if (hostname === own) return true;
  return isLoopbackHost(own) && isLoopbackHost(hostname) && !hostname.endsWith(`.${env.DOMAIN}`);
}

/** The refusal of a request at a host that is neither Operator's nor a machine's; `null` for one that is. */
export function refuseForeignHost(hostname: string, env: AddressBindings): Response | null {
  if (machineHostLabel(hostname, env.DOMAIN) !== null || isOwnHost(hostname, env)) return null;
  const reason = `This Operator is ${env.ORIGIN}; "${hostname}" is not one of its hosts.`;
  return errorResponse({ code: "invalid_request", reason });
}

/**
 * The refusal of a request that came without TLS to an Operator that has it; `null` for any other. Cloudflare, and a proxy that listens on port 80 as
 * well, pass such requests on: passwords, tokens and cookies would go through the network in the clear, and nobody would notice.
 */
export function refuseClearText(protocol: string, env: AddressBindings): Response | null {
  if (protocol === "https:" || !env.ORIGIN.startsWith("https:")) return null;
  return errorResponse({
    code: "invalid_request",
    reason: `This Operator is reached over TLS only, at ${env.ORIGIN}.`,
  });
}
