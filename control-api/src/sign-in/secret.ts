const encoder = new TextEncoder();

/** 256 random bits, URL-safe Base64. */
export function randomSecret(): string {
  return base64Url(crypto.getRandomValues(new Uint8Array(32)));
}

/** SHA-256, hex: how secrets of 100 random bits and more are kept, and looked up by, so that time tells nothing of them. */
export async function hashOf(text: string): Promise<string> {
  return hex(await crypto.subtle.digest("SHA-256", encoder.encode(text)));
}

/** HMAC-SHA-256, URL-safe Base64. */
export async function macOf(text: string, key: string): Promise<string> {
  const imported = await crypto.subtle.importKey("raw", encoder.encode(key), { name: "HMAC", hash: "SHA-256" }, false, [
    "sign",
  ]);
  return base64Url(new Uint8Array(await crypto.subtle.sign("HMAC", imported, encoder.encode(text))));
}

/** Compares in the same time whatever is in them; only their lengths show. */
export function isSame(one: string, other: string): boolean {
  const [left, right] = [encoder.encode(one), encoder.encode(other)];
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

export function hex(data: ArrayBuffer): string {
  return Array.from(new Uint8Array(data), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function base64Url(data: Uint8Array): string {
  return btoa(String.fromCodePoint(...data))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replaceAll("=", "");
}
