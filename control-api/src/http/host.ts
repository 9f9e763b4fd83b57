import type { Env } from "../env.ts";
import { isLoopbackHost } from "./loopback.ts";

/** The label of a machine's own host, `<slug>.<domain>`; whether there is such a machine is another question. */
export function machineLabel(hostname: string, { DOMAIN }: Env): string | null {
  return hostname.endsWith(`.${DOMAIN}`) ? hostname.slice(0, -DOMAIN.length - 1) : null;
}

/** Whether a host is this Operator's apex. Any other is a stranger's name that was pointed here (DNS rebinding). */
export function isOwnHost(hostname: string, env: Env): boolean {
  const own = new URL(env.ORIGIN).hostname;
  return hostname === env.DOMAIN || hostname === own || (isLoopbackHost(own) && isLoopbackHost(hostname));
}
