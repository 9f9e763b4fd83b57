import { hex, sha256, utf8 } from "#protocol/bytes.ts";

/** Whether an `Authorization` header bears the token whose SHA-256 (hex) is `hash`. The comparison takes constant time. */
export async function isLinkToken(authorization: string | null, hash: string): Promise<boolean> {
  const token = /^Bearer ([\w.~+/=-]{1,512})$/i.exec(authorization ?? "")?.[1];
  if (token === undefined) return false;
  const given = hex(await sha256(token));
  return given.length === hash.length && crypto.subtle.timingSafeEqual(utf8(given), utf8(hash));
}
