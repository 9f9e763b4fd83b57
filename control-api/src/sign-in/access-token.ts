import { hex, randomSecret, sha256 } from "#protocol/bytes.ts";

/** Personal access tokens: `opr_<user>_<secret>`. The user is in the token so that one look-up finds it; the secret is 256 bits. */
const TOKEN = /^opr_([a-z0-9-]{1,64})_([A-Za-z0-9_-]{43})$/;

/** The user a token says it belongs to, or `null` when it is none of our tokens. Nothing is checked yet. */
export function userOfToken(token: string): string | null {
  return TOKEN.exec(token)?.[1] ?? null;
}

/** A new token. Shown once; kept as its hash. */
export function makeToken(user: string): string {
  return `opr_${user}_${randomSecret()}`;
}

/** A new link token for a machine. */
export function makeLinkToken(): string {
  return `opl_${randomSecret()}`;
}

/** SHA-256, hex. Tokens are 256 random bits, so a fast hash is enough. */
export async function hashOf(token: string): Promise<string> {
  return hex(await sha256(token));
}
