import { isLoopbackHost } from "../../http/loopback.ts";

/**
 * Redirect addresses outside of the web that are known to belong to one app. A scheme can be claimed by any app on a
 * device; PKCE makes a code that a wrong one catches useless (RFC 8252 section 8.1).
 */
const KNOWN_APPS: ReadonlySet<string> = new Set(["cursor://anysphere.cursor-mcp/oauth/callback"]);

/** Why codes must not be sent to `uri`, or `null`: `https`, `http` on the asker's own computer, or a known app. */
export function redirectRefusal(uri: string): string | null {
  if (KNOWN_APPS.has(uri)) return null;
  if (!URL.canParse(uri)) return "A redirect URI is not a URL.";
  const url = new URL(uri);
  if (url.username !== "" || url.password !== "" || uri.includes("#"))
    return "A redirect URI has no user name, password or fragment.";
  if (url.protocol === "https:") return null;
  if (url.protocol === "http:" && isLoopbackHost(url.hostname)) return null;
  return "A redirect URI is https, or http on the asking computer itself (127.0.0.1, localhost).";
}
