import type { Env } from "../env.ts";
import { isLoopbackHost } from "./loopback.ts";

/**
 * Whether a host is this Operator's apex. Hosts under its domain are machines'; any other is a stranger's name that was
 * pointed here (DNS rebinding). A local start is reached by every name that a computer has for itself.
 */
export function isOwnHost(hostname: string, env: Env): boolean {
  const own = new URL(env.ORIGIN).hostname;
  if (hostname === env.DOMAIN || hostname === own) return true;
  return isLoopbackHost(own) && isLoopbackHost(hostname) && !hostname.endsWith(`.${env.DOMAIN}`);
}
