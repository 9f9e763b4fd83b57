const encoder = new TextEncoder();

/** Whether an `Authorization` header bears the token whose SHA-256 (hex) is `hash`. The comparison takes constant time. */
export async function isLinkToken(authorization: string | null, hash: string): Promise<boolean> {
  const token = /^Bearer ([\w.~+/=-]{1,512})$/i.exec(authorization ?? "")?.[1];
  if (token === undefined) return false;
  const digest = await crypto.subtle.digest("SHA-256", encoder.encode(token));
  const given = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  return given.length === hash.length && crypto.subtle.timingSafeEqual(encoder.encode(given), encoder.encode(hash));
}
