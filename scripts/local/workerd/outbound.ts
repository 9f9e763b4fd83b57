import type { Service } from "./config.ts";
import { internet } from "./surroundings.ts";

/** What a Worker's own `fetch` goes through. */
export const OUTBOUND = "operator-local:outbound";
const NEAR = "operator-local:near";

/** Redirects come back to the Worker and from there here again, so that each hop is looked at. */
const SOURCE = `export default {
  fetch: (request, env) => (env.own.includes(new URL(request.url).origin) ? env.near : env.public).fetch(request),
};`;

/**
 * Where requests of the repository's own Workers may go: to public addresses, and on this computer and its network only to
 * `own`, the origins that Operator was started with. Some of the addresses that the Workers fetch were chosen by strangers
 * (a client's own document). On Cloudflare no Worker reaches a private network; here workerd looks at the address that a
 * name has at the moment of connecting, so that a name which changes its address (DNS rebinding) gets no further.
 */
export function outbound(own: readonly string[]): Service[] {
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
    internet("public"),
    { ...internet("everything"), name: NEAR },
  ];
}
