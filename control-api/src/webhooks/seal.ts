import { base64Url, fromBase64, utf8 } from "#protocol/bytes.ts";

/** AES-GCM's nonce, 96 bits (NIST SP 800-38D). Random ones are safe for 2^32 messages under one key. */
const NONCE_BYTES = 12;

/** Separates this use of the secret from every other. */
const INFO = "operator webhook signing secrets, v1";

/** Keys by secret. An isolate has one. */
const keys = new Map<string, Promise<CryptoKey>>();

/**
 * Encrypts a signing secret for storage, so that a copy of the database does not let anyone forge messages. `context` names where it
 * is stored: a sealed secret that was moved elsewhere does not open.
 */
export async function seal(text: string, context: string, secret: string): Promise<string> {
  const iv = crypto.getRandomValues(new Uint8Array(NONCE_BYTES));
  const algorithm = { name: "AES-GCM", iv, additionalData: utf8(context) };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(algorithm, await keyOf(secret), utf8(text)));
  return `${base64Url(iv)}.${base64Url(sealed)}`;
}

/** @throws if it was sealed with another secret, for another context, or was changed */
export async function unseal(stored: string, context: string, secret: string): Promise<string> {
  const [iv = "", sealed = ""] = stored.split(".");
  const algorithm = { name: "AES-GCM", iv: fromBase64(iv), additionalData: utf8(context) };
  return new TextDecoder().decode(await crypto.subtle.decrypt(algorithm, await keyOf(secret), fromBase64(sealed)));
}

function keyOf(secret: string): Promise<CryptoKey> {
  const known = keys.get(secret);
  if (known !== undefined) return known;
  const key = deriveKey(secret);
  keys.set(secret, key);
  return key;
}

async function deriveKey(secret: string): Promise<CryptoKey> {
  const material = await crypto.subtle.importKey("raw", utf8(secret), "HKDF", false, ["deriveKey"]);
  const derivation = { name: "HKDF", hash: "SHA-256", salt: new Uint8Array(), info: utf8(INFO) };
  return crypto.subtle.deriveKey(derivation, material, { name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
}
