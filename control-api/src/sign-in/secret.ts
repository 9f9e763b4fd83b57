import { base64Url, hex, hmacSha256, sha256, utf8 } from "#protocol/bytes.ts";

/**
 * SHA-256 in hex. Secrets of 100 random bits and more are stored and looked up by this hash. An index look-up is not constant
 * time, but its timing depends on the hash, which an attacker cannot steer towards a stored one.
 */
export async function hashOf(text: string): Promise<string> {
  return hex(await sha256(text));
}

/** HMAC-SHA-256, URL-safe Base64. */
export async function macOf(text: string, key: string): Promise<string> {
  return base64Url(await hmacSha256(text, key));
}

/** Compares two texts in constant time. Timing reveals only whether their lengths differ. */
export function isSame(one: string, other: string): boolean {
  const [left, right] = [utf8(one), utf8(other)];
  return left.length === right.length && crypto.subtle.timingSafeEqual(left, right);
}

/** Random letters from `alphabet`, uniformly distributed. */
export function randomLetters(alphabet: string, length: number): string {
  let letters = "";
  const usable = 256 - (256 % alphabet.length); // larger bytes are discarded: with them the modulo would favour the first letters
  while (letters.length < length) {
    const [byte = 255] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < usable) letters += alphabet[byte % alphabet.length];
  }
  return letters;
}
