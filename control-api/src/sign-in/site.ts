import type { Site } from "./accounts/passkeys.ts";

/**
 * The same page at `localhost`, for a page that was opened at this computer's IP address: browsers offer passkeys at a name only, and
 * `localhost` is the name that every computer has for itself. `null` where passkeys work, and at the address of another computer.
 */
export function atLocalhost(url: string): string | null {
  const at = new URL(url);
  if (at.hostname !== "127.0.0.1" && at.hostname !== "[::1]") return null;
  at.hostname = "localhost";
  return at.href;
}

/** The relying party for passkeys at this URL, or `null` if the host is an IP address: WebAuthn section 5.1.3 requires a domain. */
export function siteOf(url: string): Site | null {
  const { hostname, origin } = new URL(url);
  const isAddress = hostname.startsWith("[") || /^[\d.]+$/.test(hostname);
  return isAddress ? null : { id: hostname, origin };
}
