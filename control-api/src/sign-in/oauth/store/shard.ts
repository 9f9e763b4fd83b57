/**
 * Objects that the store is spread over. One object answers some 500 to 1,000 requests a second; together they outlast
 * any number of users that one Operator has. The number is part of where a key is found, so it must stay as it is.
 */
export const SHARDS = 64;

/** Keys of one user's: `grant:<user>:<grant>`, `token:<user>:<grant>:<token>`. A user's id has no colon. */
const OF_USER = /^(?:grant|token):([^:]+):/;

/** The user that a key, or the beginning of one, belongs to; `null` when it is nobody's, or several users' keys begin like it. */
export function userOfKey(key: string): string | null {
  return OF_USER.exec(key)?.[1] ?? null;
}

/** Which object holds a key: all of one user's are in one, so that a removal there is seen by every look-up at once. */
export function shardOf(key: string): number {
  return shardOfName(userOfKey(key) ?? key);
}

export function shardOfName(name: string): number {
  return fnv1a(name) % SHARDS;
}

/** FNV-1a, 32 bits: spreads names evenly, and needs no promise. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) {
    hash ^= character.codePointAt(0) ?? 0;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash;
}
