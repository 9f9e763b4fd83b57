import { randomSecret } from "#protocol/bytes.ts";

/**
 * Enrolment keys: `ope_<user>_<secret>`, with a secret of 256 random bits. A key names its user for the same reason as an access token
 * does (sign-in/access-token.ts), and nothing else accepts it.
 */
const KEY = /^ope_([a-z0-9-]{1,64})_[A-Za-z0-9_-]{43}$/;

/** The user id that a key claims, or `null` if the text does not have the form of a key. Verifies nothing. */
export function userOfKey(key: string): string | null {
  return KEY.exec(key)?.[1] ?? null;
}

/** Creates a key. The caller shows it once and stores only its hash. */
export function makeKey(user: string): string {
  return `ope_${user}_${randomSecret()}`;
}
