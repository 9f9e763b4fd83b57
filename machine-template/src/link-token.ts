import { hex, sha256, utf8 } from "#protocol/bytes.ts";
import { expiryOf, isIssuedWith } from "#protocol/link-token.ts";

/** The token in an `Authorization` header, or `null`. */
export function linkTokenIn(authorization: string | null): string | null {
  return /^Bearer ([\w.~+/=-]{1,512})$/i.exec(authorization ?? "")?.[1] ?? null;
}

/**
 * Whether an `Authorization` header bears a token that may be this machine's: the one whose SHA-256 (hex) is `hash`, or one that
 * this Operator issued to its owner (`secret`) and that has not expired. The Durable Object decides; this keeps strangers from
 * waking it. The comparisons take constant time.
 */
export async function mayBeLinkToken(
  authorization: string | null,
  hash: string,
  secret: string | undefined,
  nowMs: number,
): Promise<boolean> {
  const token = linkTokenIn(authorization);
  if (token === null) return false;
  const expiresMs = expiryOf(token);
  if (expiresMs !== null && expiresMs <= nowMs) return false;
  if (secret !== undefined && (await isIssuedWith(token, secret))) return true;
  const given = hex(await sha256(token));
  return given.length === hash.length && crypto.subtle.timingSafeEqual(utf8(given), utf8(hash));
}
