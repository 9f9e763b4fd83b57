import { hex, utf8 } from "#protocol/bytes.ts";

const HMAC = { name: "HMAC", hash: "SHA-256" };

/** The imported HMAC key. Cached per isolate, because every report of every machine is checked with it. */
const imported = new Map<string, Promise<CryptoKey>>();

function keyOf(secret: string): Promise<CryptoKey> {
  const known = imported.get(secret);
  if (known !== undefined) return known;
  const key = crypto.subtle.importKey("raw", utf8(secret), HMAC, false, ["sign"]);
  imported.set(secret, key);
  return key;
}

/**
 * The key that a machine script sends with its reports: HMAC-SHA-256 of `owner/slug` in hex. Each script gets only its own key, so
 * a compromised script cannot report for another machine. A user id has no slash, so no two pairs give the same text.
 */
export async function reportKeyOf(owner: string, slug: string, secret: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await keyOf(secret), utf8(`${owner}/${slug}`));
  return hex(new Uint8Array(signature));
}

/** Whether `shown` is the report key of this script. Compares in constant time. */
export async function isReportKey(shown: string | null, owner: string, slug: string, secret: string): Promise<boolean> {
  const expected = utf8(await reportKeyOf(owner, slug, secret));
  const given = utf8(shown ?? "");
  return given.length === expected.length && crypto.subtle.timingSafeEqual(given, expected);
}

/**
 * The key of the macs in the link tokens of one owner (`#protocol/link-token.ts`). The owner's scripts share it, so that a token stays
 * recognisable when its machine is renamed. It cannot be mistaken for a report key, whose text begins with a user id: ids contain
 * no colon.
 */
export async function linkSecretOf(owner: string, secret: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await keyOf(secret), utf8(`link-tokens:${owner}`));
  return hex(new Uint8Array(signature));
}

/**
 * The key that signs what clients of one user bring back with an answer to a form (elicitation/state.ts). Like the key above, it cannot
 * be mistaken for another.
 */
export async function elicitationKeyOf(owner: string, secret: string): Promise<string> {
  const signature = await crypto.subtle.sign("HMAC", await keyOf(secret), utf8(`elicitation:${owner}`));
  return hex(new Uint8Array(signature));
}
