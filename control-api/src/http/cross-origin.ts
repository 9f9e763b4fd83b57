/**
 * CORS for MCP clients in browsers (Fetch standard, "CORS protocol"). Requests carry their token in `Authorization` and never
 * in a cookie, so a page of any origin may send one. `authenticate` decides who gets an answer.
 */

/** Response headers that MCP clients in browsers must be able to read (MCP, Streamable HTTP). */
const EXPOSED = "mcp-session-id, mcp-protocol-version, www-authenticate, x-operator-error";

const METHODS = "GET, POST, DELETE, OPTIONS";

/** Seconds that a browser may cache a preflight's answer. Chromium caps this at two hours. */
const MAX_AGE_S = "7200";

/** The answer to a preflight. It allows whatever headers the page asks for, because new revisions of MCP add new ones. */
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

/** The response with CORS headers for the requesting page. A request without `Origin` gets the response itself, not a copy. */
export function allowOrigin(request: Request, response: Response): Response {
  const origin = request.headers.get("origin");
  if (origin === null || response.status === 101) return response;
  const readable = new Response(response.body, response);
  readable.headers.set("access-control-allow-origin", origin);
  readable.headers.set("access-control-expose-headers", EXPOSED);
  readable.headers.append("vary", "origin");
  return readable;
}
