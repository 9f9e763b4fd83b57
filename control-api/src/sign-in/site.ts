import type { Site } from "./accounts/passkeys.ts";

/** The relying party for passkeys at this URL, or `null` if the host is an IP address: WebAuthn section 5.1.3 requires a domain. */
export function siteOf(url: string): Site | null {
  const { hostname, origin } = new URL(url);
  const isAddress = hostname.startsWith("[") || /^[\d.]+$/.test(hostname);
  return isAddress ? null : { id: hostname, origin };
}
