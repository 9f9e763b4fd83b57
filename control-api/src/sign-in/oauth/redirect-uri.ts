import { isLoopbackHost } from "#protocol/loopback-host.ts";

/**
 * Redirect URIs with a private scheme that are known to belong to one app. Any app on a device can claim such a scheme and catch
 * the code; PKCE makes the code useless to it (RFC 8252 section 8.1).
 */
const KNOWN_APPS: ReadonlySet<string> = new Set(["cursor://anysphere.cursor-mcp/oauth/callback"]);

/**
 * Why codes must not be sent to `uri`, or `null` if they may. Allowed are `https`, `http` to a loopback address (RFC 8252 section
 * 7.3) and the known apps. Plain `http` elsewhere would show the code to the network, and `javascript:` would run as a script.
 */
export function redirectRefusal(uri: string): string | null {
  if (KNOWN_APPS.has(uri)) return null;
  if (!URL.canParse(uri)) return "A redirect URI must be an absolute URL.";
  const url = new URL(uri);
  // "https://@host" has a user name, too: an empty one, which this parser leaves out and others do not.
  if (/^[^:]*:\/\/[^/?#]*@/.test(uri) || url.username !== "" || url.password !== "" || uri.includes("#"))
    return "A redirect URI must not have a user name, password or fragment.";
  if (url.protocol !== "https:" && !(url.protocol === "http:" && isLoopbackHost(url.hostname)))
    return "A redirect URI must use https, or http with a loopback host (127.0.0.1, localhost).";
  // Browsers accept more than the standard for URIs (RFC 3986) allows: "https:evil.test", "https:\\evil.test", tabs. Other parsers, and
  // people, then see another host in it, or none.
  if (!/^https?:\/\/[^/?#]/i.test(uri) || /[\\\s\p{C}]/u.test(uri))
    return "A redirect URI must be written as https://host/path, without spaces and backslashes.";
  // This parser also takes "https://*" and "https://a;b" for hosts. In the consent page's Content-Security-Policy they would say something else.
  if (!/^(?:[a-z0-9._-]+|\[[0-9a-f:]+\])$/.test(url.hostname))
    return "A redirect URI's host must be a name or an address.";
  return null;
}
