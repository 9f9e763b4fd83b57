import { hostHeaderValidationResponse, localhostAllowedHostnames } from "@modelcontextprotocol/server";
import { createHash, timingSafeEqual } from "node:crypto";
import { TOKEN_REQUIRED, TOKEN_REQUIRED_HEADER } from "../../system/token-required.ts";

/** What a client has to show, in words for whoever configures it. Names no folder: anybody on this computer gets it. */
const HOW_TO_ADD =
  "codez serve needs its token, which only this computer's owner can read. Add this header to the client: " +
  'claude mcp add ... --header "Authorization: Bearer $(cat ~/.codez/serve/token)" (with CODEZ_HOME set: ' +
  "$CODEZ_HOME/serve/token). codez connect and codez up find it by themselves; update an older one.";

/**
 * Nobody is trusted for arriving from loopback: other users of this computer and web pages arrive from there too. Refuses
 * a wrong `Host` (DNS rebinding), any page's `Origin` but serve's own, and a request without the token; `null` lets it in.
 */
export function guard(request: Request, token: string): Response | null {
  const rebound = hostHeaderValidationResponse(request, localhostAllowedHostnames());
  if (rebound !== undefined) return rebound;
  const origin = request.headers.get("origin");
  if (origin !== null && origin !== `http://${request.headers.get("host") ?? ""}`) {
    return refuse(403, "Requests of web pages are not accepted.");
  }
  if (isBearer(request, token)) return null;
  return refuse(401, HOW_TO_ADD, {
    "www-authenticate": 'Bearer realm="codez serve"',
    [TOKEN_REQUIRED_HEADER]: TOKEN_REQUIRED,
  });
}

function refuse(status: number, message: string, headers: Record<string, string> = {}): Response {
  const error = { jsonrpc: "2.0", error: { code: -32_001, message }, id: null };
  return Response.json(error, { status, headers });
}

/** In a time that does not depend on what is given. */
function isBearer(request: Request, token: string): boolean {
  const [, given = ""] = /^bearer +(.+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
