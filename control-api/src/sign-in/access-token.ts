import { hex, randomSecret, sha256 } from "#protocol/bytes.ts";

/**
 * Personal access tokens: `opr_<user>_<secret>`, with a secret of 256 random bits in URL-safe Base64 (43 characters). The token
 * names its user because each user's tokens are stored in that user's own Durable Object; without the name every object would
 * have to be searched.
 */
const TOKEN = /^opr_([a-z0-9-]{1,64})_([A-Za-z0-9_-]{43})$/;

/** The user id that a token claims, or `null` if the text does not have the form of a personal access token. Verifies nothing. */
export function userOfToken(token: string): string | null {
  return TOKEN.exec(token)?.[1] ?? null;
}

/** Creates a token. The caller shows it once and stores only its hash. */
export function makeToken(user: string): string {
  return `opr_${user}_${randomSecret()}`;
}

/** SHA-256 in hex. Slow password hashes protect secrets that can be guessed; 256 random bits cannot be, so a fast hash is enough. */
export async function hashOf(token: string): Promise<string> {
  return hex(await sha256(token));
}
