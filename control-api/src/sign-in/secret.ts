import { base64Url, hex, hmacSha256, sha256, utf8 } from "#protocol/bytes.ts";

/** SHA-256, hex: how secrets of 100 random bits and more are kept, and looked up by, so that time tells nothing of them. */
export async function hashOf(text: string): Promise<string> {
  return hex(await sha256(text));
}

/** HMAC-SHA-256, URL-safe Base64. */
export async function macOf(text: string, key: string): Promise<string> {
  return base64Url(await hmacSha256(text, key));
}

/** Compares in constant time. Only the lengths can be told from the time that it takes. */
export function isSame(one: string, other: string): boolean {
  const [left, right] = [utf8(one), utf8(other)];
  return left.length === right.length && crypto.subtle.timingSafeEqual(left, right);
}

/** Random letters of `alphabet`, each as likely as any other. */
export function randomLetters(alphabet: string, length: number): string {
  let letters = "";
  const usable = 256 - (256 % alphabet.length); // a byte above would favour the first letters
  while (letters.length < length) {
    const [byte = 255] = crypto.getRandomValues(new Uint8Array(1));
    if (byte < usable) letters += alphabet[byte % alphabet.length];
  }
  return letters;
}
