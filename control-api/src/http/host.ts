import { isLoopbackHost } from "./loopback.ts";

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
  const own = new URL(env.ORIGIN).hostname;
  if (hostname === env.DOMAIN || hostname === own) return true;
  return isLoopbackHost(own) && isLoopbackHost(hostname) && !hostname.endsWith(`.${env.DOMAIN}`);
}
