import { isLoopbackHost } from "./loopback.ts";

export type AddressBindings = {
  /** The apex under which every machine has a host of its own. */
  readonly DOMAIN: string;
  /** The apex's own origin, as clients reach it. */
  readonly ORIGIN: string;
};

/**
 * Whether a host is this Operator's apex. Hosts under its domain are machines'; any other is a stranger's name that was
 * pointed here (DNS rebinding). A local start is reached by every name that a computer has for itself.
 */
export function isOwnHost(hostname: string, env: AddressBindings): boolean {
  const own = new URL(env.ORIGIN).hostname;
  if (hostname === env.DOMAIN || hostname === own) return true;
  return isLoopbackHost(own) && isLoopbackHost(hostname) && !hostname.endsWith(`.${env.DOMAIN}`);
}
