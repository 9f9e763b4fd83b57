import { machineAddressIn, machineHostLabel, machineUrls } from "#protocol/address.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { isSlug } from "#protocol/slug.ts";
import { type AddressBindings, isOwnHost } from "../../http/host.ts";

/**
 * Protected resources (RFC 9728, RFC 8707): the apex's `/mcp`, which the REST surface shares, and each machine's
 * endpoint by host and by path. Each is a separate audience: a token for one is refused by all others.
 *
 * An audience is stored in one canonical form, which is its URL with two exceptions. On one computer the apex has several
 * hosts (`localhost`, `127.0.0.1`), of which `ORIGIN` is used. The OAuth library refuses plain-http audiences on `*.localhost`,
 * so a machine's host is always written with `https`.
 */
export type Audience = string & { readonly __brand?: "audience" };

/** The audience of the apex. */
export function apexAudience(env: AddressBindings): Audience {
  return `${env.ORIGIN}/mcp`;
}

/** The audience that a token needs for a request to this URL. */
export function audienceOf(url: URL, env: AddressBindings): Audience {
  return machineAudience(url, env) ?? apexAudience(env);
}

/**
 * The audience that a client's resource indicator names (RFC 8707), or `null` if it is not one of this server's. A bare origin
 * means the endpoint on it, because clients that found only the metadata at the root send the origin.
 */
export function audienceNamed(resource: string, env: AddressBindings): Audience | null {
  if (!URL.canParse(resource)) return null;
  const url = new URL(resource);
  if (url.hash !== "" || url.username !== "" || url.password !== "" || url.search !== "") return null;
  if (url.protocol !== new URL(env.ORIGIN).protocol || url.port !== new URL(env.ORIGIN).port) return null;
  if (machineAddressIn(url, env.DOMAIN) !== null) return machineAudience(url, env);
  const isApex = isOwnHost(url.hostname, env) && (url.pathname === "/" || url.pathname === "/mcp");
  return isApex ? apexAudience(env) : null;
}

/** The audience's URL as clients write it, with `http` where the server has no TLS. */
export function spelled(audience: Audience, env: AddressBindings): string {
  const isPlain = env.ORIGIN.startsWith("http:") && !audience.startsWith(env.ORIGIN);
  return isPlain ? audience.replace(/^https:/, "http:") : audience;
}

function machineAudience(url: URL, env: AddressBindings): Audience | null {
  const address = machineAddressIn(url, env.DOMAIN);
  if (address === null || !isSlug(address.slug)) return null;
  if (machineHostLabel(url.hostname, env.DOMAIN) !== null)
    return address.path === ScriptPath.MCP || address.path === "/" ? `https://${url.host}${ScriptPath.MCP}` : null;
  return address.path === ScriptPath.MCP && isOwnHost(url.hostname, env)
    ? machineUrls(address.slug, env.ORIGIN, env.DOMAIN).mcpUrl
    : null;
}
