import type { Site } from "./accounts/passkeys.ts";

/** The site that passkeys made here are for, or `null` where there can be none: an IP address is no domain (WebAuthn section 5.1.3). */
export function siteOf(url: string): Site | null {
  const { hostname, origin } = new URL(url);
  const isAddress = hostname.startsWith("[") || /^[\d.]+$/.test(hostname);
  return isAddress ? null : { id: hostname, origin };
}
