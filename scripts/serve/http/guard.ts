import { hostHeaderValidationResponse, localhostAllowedHostnames } from "@modelcontextprotocol/server";
import { createHash, timingSafeEqual } from "node:crypto";
import { TOKEN_REQUIRED, TOKEN_REQUIRED_HEADER } from "../../system/token-required.ts";

/**
 * How to configure a client with the token. It must not contain the path of the home folder, because any user of this computer
 * can get this answer.
 */
const HOW_TO_ADD =
  "codez serve needs its token, which only this computer's owner can read. Add this header to the client: " +
  'claude mcp add ... --header "Authorization: Bearer $(cat ~/.codez/serve/token)" (with CODEZ_HOME set: ' +
  "$CODEZ_HOME/serve/token). codez connect and codez up find it by themselves; update an older one.";

/**
 * Arriving from loopback proves nothing, because other users of this computer and web pages arrive from there as well. Refuses a
 * wrong `Host` (DNS rebinding), a page's `Origin` other than serve's own, and a request without the token. `null` lets it pass.
 */
export function guard(request: Request, token: string): Response | null {
  const rebound = hostHeaderValidationResponse(request, localhostAllowedHostnames());
  if (rebound !== undefined) return rebound;
  const origin = request.headers.get("origin");
  if (origin !== null && origin !== `http://${request.headers.get("host") ?? ""}`) {
    return refuse(403, "Requests from web pages are not accepted.");
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

/** Compares the token in constant time. */
function isBearer(request: Request, token: string): boolean {
  const [, given = ""] = /^bearer +(.+)$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return timingSafeEqual(digest(given), digest(token));
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
