import type { Service } from "./config.ts";
import { internet } from "./surroundings.ts";

/** The service that a Worker's own `fetch` goes through. */
export const OUTBOUND = "operator-local:outbound";
const NEAR = "operator-local:near";

/** This Worker does not follow redirects. The calling Worker does, through this service again, so every hop is checked. */
const SOURCE = `export default {
  fetch: (request, env) => (env.own.includes(new URL(request.url).origin) ? env.near : env.public).fetch(request),
};`;

/**
 * Where requests of the repository's own Workers may go: to public addresses, and to `own`, the origins on this computer
 * and its network that Operator was started with. Strangers choose some of the URLs that the Workers fetch, such as the
 * URL of a client's metadata document. On Cloudflare no Worker reaches a private network. Here workerd checks the IP
 * address when it connects, so a host name that changes its address after a check (DNS rebinding) is refused too.
 */
export function outbound(own: readonly string[], offline = false): Service[] {
  return [
    {
      name: OUTBOUND,
      worker: {
        modules: [{ name: "outbound.js", esModule: SOURCE }],
        compatibilityDate: "2026-08-01",
        bindings: [
          { name: "own", json: JSON.stringify(own) },
          { name: "near", service: { name: NEAR } },
          { name: "public", service: { name: internet("public").name } },
        ],
      },
    },
    internet(offline ? "nothing" : "public"),
    { ...internet("everything"), name: NEAR },
  ];
}
