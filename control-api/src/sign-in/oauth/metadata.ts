import type { Env } from "../../env.ts";
import { isOwnHost } from "../../http/host.ts";
import { BASELINE } from "../../http/scope.ts";
import { oauthAnswer, OAuthPath } from "./authorization-server.ts";
import { audienceNamed } from "./resource.ts";

const RESOURCE = "/.well-known/oauth-protected-resource";
const SERVER = "/.well-known/oauth-authorization-server";

export const DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code";

/** One hour. Metadata changes only with a deployment, and clients fetch it at every sign-in. */
const CACHE = "public, max-age=3600";

/** Whether a URL belongs to a metadata document, which anyone may read. */
export function isMetadata({ pathname }: URL): boolean {
  return pathname.startsWith(RESOURCE) || pathname.startsWith(SERVER);
}

/** Serves the two metadata documents from which a client that got a `401` learns where to sign in (RFC 9728, RFC 8414). */
export async function metadata(request: Request, url: URL, env: Env, ctx: ExecutionContext): Promise<Response> {
  if (request.method === "OPTIONS") return readable(new Response(null, { status: 204 }));
  if (request.method !== "GET" && request.method !== "HEAD")
    return readable(new Response(null, { status: 405, headers: { allow: "GET, HEAD, OPTIONS" } }));
  const document = url.pathname.startsWith(RESOURCE) ? resourceDocument(url, env) : await serverDocument(url, env, ctx);
  if (document === null) return readable(Response.json({ error: "not_found" }, { status: 404 }));
  return readable(Response.json(document, { headers: { "cache-control": CACHE } }));
}

/**
 * A protected resource's metadata. What follows the well-known path is the resource's path (RFC 9728 section 3.1); if nothing does,
 * the resource is the origin, which shares its audience with the endpoint on it. Every possible machine address has a document,
 * so this does not reveal which machines exist.
 */
function resourceDocument(url: URL, env: Env): object | null {
  const path = url.pathname.slice(RESOURCE.length);
  const resource = `${url.origin}${path}`;
  if (path.endsWith("/") || audienceNamed(resource, env) === null) return null;
  return {
    resource,
    authorization_servers: [env.AUTHKIT_URL || env.ORIGIN],
    scopes_supported: [BASELINE],
    bearer_methods_supported: ["header"],
    resource_name: "Operator",
  };
}

async function serverDocument(url: URL, env: Env, ctx: ExecutionContext): Promise<object | null> {
  const isHere = url.pathname === SERVER && isOwnHost(url.hostname, env);
  if (!isHere || env.AUTHKIT_URL) return null;
  const response = await oauthAnswer(new Request(`${env.ORIGIN}${SERVER}`), env, ctx);
  const document: { grant_types_supported: string[] } = await response.json();
  return {
    ...document,
    device_authorization_endpoint: `${env.ORIGIN}${OAuthPath.DEVICE}`,
    grant_types_supported: [...document.grant_types_supported, DEVICE_GRANT],
  };
}

function readable(response: Response): Response {
  response.headers.set("access-control-allow-origin", "*");
  response.headers.set("access-control-allow-methods", "GET, HEAD, OPTIONS");
  response.headers.set("access-control-allow-headers", "*");
  return response;
}
