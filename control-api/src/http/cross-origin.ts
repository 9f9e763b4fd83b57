/**
 * CORS for MCP clients in browsers (Fetch standard, "CORS protocol"). Tokens travel in `Authorization` and never in
 * cookies, so any origin may ask; who may get an answer is for `authenticate` to say.
 */

/** What browsers' clients have to read (MCP, Streamable HTTP). */
const EXPOSED = "mcp-session-id, mcp-protocol-version, www-authenticate, x-operator-error";

const METHODS = "GET, POST, DELETE, OPTIONS";

/** Seconds that a browser keeps a preflight's answer; Chromium keeps none longer than two hours. */
const MAX_AGE_S = "7200";

/** The answer to a preflight. The headers asked for are allowed: new revisions of MCP bring new ones. */
export function preflight(request: Request): Response {
  const headers = {
    "access-control-allow-origin": request.headers.get("origin") ?? "*",
    "access-control-allow-methods": METHODS,
    "access-control-allow-headers": request.headers.get("access-control-request-headers") ?? "content-type",
    "access-control-max-age": MAX_AGE_S,
    vary: "origin, access-control-request-headers",
  };
  return new Response(null, { status: 204, headers });
}

/** A response that the asking page may read. Without an `Origin` nothing is added, and nothing is copied. */
export function allowOrigin(request: Request, response: Response): Response {
  const origin = request.headers.get("origin");
  if (origin === null || response.status === 101) return response;
  const readable = new Response(response.body, response);
  readable.headers.set("access-control-allow-origin", origin);
  readable.headers.set("access-control-expose-headers", EXPOSED);
  readable.headers.append("vary", "origin");
  return readable;
}
