/**
 * Number of Durable Objects that the store is spread over. One object serves about 500 to 1,000 requests a second, so 64 are
 * enough for any Operator. Do not change the number: it decides which object has a key, so existing keys would not be found.
 */
export const SHARDS = 64;

/** Keys of one user: `grant:<user>:<grant>` and `token:<user>:<grant>:<token>`. A user id has no colon. */
const OF_USER = /^(?:grant|token):([^:]+):/;
const OF_GRANT = /^(?:grant|token):([^:]+):([^:]+)/;

/** The user that a key or key prefix belongs to, or `null` if it belongs to no user or the prefix covers several users. */
export function userOfKey(key: string): string | null {
  return OF_USER.exec(key)?.[1] ?? null;
}

/** The key of the grant that a key is of, its own or a token's; `null` for other keys. */
export function grantOfKey(key: string): string | null {
  const [, user, grant] = OF_GRANT.exec(key) ?? [];
  return grant === undefined ? null : `grant:${user}:${grant}`;
}

/** The object that holds a key. All keys of one user are in the same object, so that one call there removes the user. */
export function shardOf(key: string): number {
  return shardOfName(userOfKey(key) ?? key);
}

export function shardOfName(name: string): number {
  return fnv1a(name) % SHARDS;
}

/** FNV-1a, 32 bits. It spreads names evenly and, unlike WebCrypto's SHA-256, is synchronous. It is not used for security. */
function fnv1a(text: string): number {
  let hash = 0x811c9dc5;
  for (const character of text) {
    hash ^= character.codePointAt(0) ?? 0;
    hash = Math.imul(hash, 0x01000193) >>> 0;
  }
  return hash;
}
