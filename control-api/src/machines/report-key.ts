import { hex, hmacSha256, utf8 } from "#protocol/bytes.ts";

/** What a machine script shows to report on itself: HMAC-SHA-256 of `owner/slug`, hex. A user id has no slash. */
export async function reportKeyOf(owner: string, slug: string, secret: string): Promise<string> {
  return hex(await hmacSha256(`${owner}/${slug}`, secret));
}

/** Whether `shown` is that key. Constant time. */
export async function isReportKey(shown: string | null, owner: string, slug: string, secret: string): Promise<boolean> {
  const expected = utf8(await reportKeyOf(owner, slug, secret));
  const given = utf8(shown ?? "");
  return given.length === expected.length && crypto.subtle.timingSafeEqual(given, expected);
}
