import { base64Url, fromBase64, randomSecret, utf8 } from "./bytes.ts";

/**
 * A link token: `opl_<secret>.<expiry>.<mac>`.
 *
 * - `secret`: 256 random bits, so a fast hash suffices to store the token.
 * - `expiry`: seconds since 1970, in base 36. The connector can read it as well, and says why an old token no longer works.
 * - `mac`: HMAC-SHA-256 of what precedes it, under a key that the owner's scripts share (`LINK_SECRET`).
 *
 * The mac lets a script turn strangers away without waking its Durable Object, although the list of valid tokens is kept there.
 * It proves only that this Operator once issued the token to one of the owner's machines. Whether the token is still valid,
 * and for this machine, is the object's to say (`machine-template/src/link/credentials.ts`).
 *
 * Tokens from before 0.3 are `opl_<secret>` alone. They are valid as long as their hash is the script's `LINK_TOKEN_HASH`.
 */
const FORM = /^(opl_[\w-]{43}\.([0-9a-z]{6,8}))\.([\w-]{43})$/;

/** A token is renewed over the link, so it expires only on a machine that was not connected for this long. */
export const LINK_TOKEN_LIFE_MS = 90 * 24 * 60 * 60_000;

/** A token for a connector from before 0.3, which has no key and cannot renew it. It is replaced once the machine has a key. */
export const KEYLESS_TOKEN_LIFE_MS = 10 * 365 * 24 * 60 * 60_000;

/** A token is renewed when less than this is left: the first link after 30 days. That leaves two months to be connected again. */
export const LINK_TOKEN_RENEWAL_MS = 60 * 24 * 60 * 60_000;

export async function makeLinkToken(secret: string, expiresMs: number): Promise<string> {
  const text = `opl_${randomSecret()}.${Math.floor(expiresMs / 1000).toString(36)}`;
  const mac = await crypto.subtle.sign("HMAC", await macKey(secret, "sign"), macText(text));
  return `${text}.${base64Url(new Uint8Array(mac))}`;
}

/** Whether `token` was issued with this secret. Takes the same time whatever the mac is. */
export async function isIssuedWith(token: string, secret: string): Promise<boolean> {
  const [, text, , mac] = FORM.exec(token) ?? [];
  if (text === undefined || mac === undefined) return false;
  return crypto.subtle.verify("HMAC", await macKey(secret, "verify"), fromBase64(mac), macText(text));
}

/** When a token expires, in milliseconds since 1970; `null` for a token without an expiry. Verifies nothing. */
export function expiryOf(token: string): number | null {
  const [, , expiry] = FORM.exec(token) ?? [];
  return expiry === undefined ? null : Number.parseInt(expiry, 36) * 1000;
}

/** Whether `token` has the form of a token that expires. A connector saves nothing else. */
export function isLinkToken(token: string): boolean {
  return FORM.test(token);
}

/** The prefix keeps these macs apart from any others that might be made with the same key. */
function macText(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(utf8(`link-token/${text}`));
}

function macKey(secret: string, use: "sign" | "verify"): Promise<CryptoKey> {
  return crypto.subtle.importKey("raw", new Uint8Array(utf8(secret)), { name: "HMAC", hash: "SHA-256" }, false, [use]);
}
