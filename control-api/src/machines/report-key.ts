import { hex, utf8 } from "#protocol/bytes.ts";

const HMAC = { name: "HMAC", hash: "SHA-256" };

/** The secret as a key. Imported once an isolate: every report of every machine is checked with it. */
const imported = new Map<string, Promise<CryptoKey>>();

function keyOf(secret: string): Promise<CryptoKey> {
  const known = imported.get(secret);
  if (known !== undefined) return known;
  const key = crypto.subtle.importKey("raw", utf8(secret), HMAC, false, ["sign"]);
  imported.set(secret, key);
  return key;
}

/** What a machine script shows to report on itself: HMAC-SHA-256 of `owner/slug`, hex. A user id has no slash. */
export async function reportKeyOf(owner: string, slug: string, secret: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await keyOf(secret), utf8(`${owner}/${slug}`));
  return hex(new Uint8Array(signature));
}

/** Whether `shown` is that key. Constant time. */
export async function isReportKey(shown: string | null, owner: string, slug: string, secret: string): Promise<boolean> {
  const expected = utf8(await reportKeyOf(owner, slug, secret));
  const given = utf8(shown ?? "");
  return given.length === expected.length && crypto.subtle.timingSafeEqual(given, expected);
}
