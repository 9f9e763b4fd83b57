const encoder = new TextEncoder();

/** What a machine script shows to report on itself: HMAC-SHA-256 of `owner/slug`, hex. A user id has no slash. */
export async function reportKeyOf(owner: string, slug: string, secret: string): Promise<string> {
  const key = await crypto.subtle.importKey("raw", encoder.encode(secret), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  const mac = await crypto.subtle.sign("HMAC", key, encoder.encode(`${owner}/${slug}`));
  return Array.from(new Uint8Array(mac), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether `shown` is that key. Constant time. */
export async function isReportKey(shown: string | null, owner: string, slug: string, secret: string): Promise<boolean> {
  const expected = encoder.encode(await reportKeyOf(owner, slug, secret));
  const given = encoder.encode(shown ?? "");
  return given.length === expected.length && crypto.subtle.timingSafeEqual(given, expected);
}
