import { base64, fromBase64, utf8 } from "#protocol/bytes.ts";

/** Standard Webhooks, "Symmetric signatures": the prefix, and 24 to 64 bytes in Base64. */
const SECRET = /^whsec_([A-Za-z0-9+/]+={0,2})$/;
const MIN_SECRET_BYTES = 24;
const MAX_SECRET_BYTES = 64;

/** A secret that we make: as many bits as the hash has. */
const MADE_SECRET_BYTES = 32;

/** The key in a secret, or `null` if it is no valid one. */
export function keyOfSecret(secret: string): Uint8Array | null {
  const [, text] = SECRET.exec(secret) ?? [];
  if (text === undefined) return null;
  try {
    const key = fromBase64(text);
    return key.length >= MIN_SECRET_BYTES && key.length <= MAX_SECRET_BYTES ? key : null;
  } catch {
    return null; // Base64 of an impossible length
  }
}

export function makeSecret(): string {
  return `whsec_${base64(crypto.getRandomValues(new Uint8Array(MADE_SECRET_BYTES)))}`;
}

/**
 * The headers that sign a message (Standard Webhooks, "Webhook metadata"). Each attempt is signed again, with its own time, because
 * receivers refuse what is older than five minutes. During a rotation there is a signature for each secret.
 */
export async function signatureHeaders(
  message: { readonly id: string; readonly body: string },
  secrets: readonly string[],
  nowMs: number,
): Promise<Record<string, string>> {
  const timestamp = String(Math.floor(nowMs / 1_000));
  const signed = utf8(`${message.id}.${timestamp}.${message.body}`);
  const signatures = await Promise.all(secrets.map((secret) => signatureOf(signed, secret)));
  return {
    "webhook-id": message.id,
    "webhook-timestamp": timestamp,
    "webhook-signature": signatures.join(" "),
  };
}

async function signatureOf(signed: Uint8Array, secret: string): Promise<string> {
  const bytes = keyOfSecret(secret);
  if (bytes === null) throw new Error("a stored signing secret is not valid");
  const key = await crypto.subtle.importKey("raw", bytes, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  return `v1,${base64(new Uint8Array(await crypto.subtle.sign("HMAC", key, signed)))}`;
}
