import { fromBase64, utf8 } from "#protocol/bytes.ts";

/** Bytes of an uncompressed point on P-256 (SEC 1, section 2.3.3): how RFC 8291 passes public keys on. */
const POINT_BYTES = 65;

/** Bytes of the authentication secret (RFC 8291, section 3.2). */
const AUTH_BYTES = 16;

/** Bytes of the salt (RFC 8188, section 2.1). */
const SALT_BYTES = 16;

/**
 * The record size that the header states. A message is one record, and push services must take 4,096 bytes (RFC 8030, section 7.2;
 * RFC 8291, section 4).
 */
const RECORD_BYTES = 4_096;

/** What fits into one record: without header (86), delimiter (1) and tag (16), as RFC 8291, section 4, counts. */
export const MAX_PLAIN_BYTES = 3_993;

/** Ends the data of the last record (RFC 8188, section 2). */
const LAST_RECORD = 2;

const P256 = { name: "ECDH", namedCurve: "P-256" } as const;

/** Keys of a browser's subscription, as `PushSubscription.toJSON()` has them: base64url. */
export type BrowserKeys = { readonly p256dh: string; readonly auth: string };

/** The sender's part, which is new for each message. Tests pass that of RFC 8291's example. */
export type Ephemeral = { readonly keys: CryptoKeyPair; readonly salt: Uint8Array };

/**
 * Encrypts a push message so that only the browser can read it, and not the push service in between (RFC 8291, with the coding
 * `aes128gcm` of RFC 8188).
 *
 * @throws if the keys are not valid; `areKeys` tells that before
 */
export async function encryptPush(text: string, browser: BrowserKeys, ephemeral?: Ephemeral): Promise<Uint8Array> {
  const plain = utf8(text);
  if (plain.length > MAX_PLAIN_BYTES) throw new RangeError(`a push message has at most ${MAX_PLAIN_BYTES} bytes`);
  const { keys, salt } = ephemeral ?? (await newEphemeral());
  const theirPoint = fromBase64(browser.p256dh);
  const ourPoint = new Uint8Array((await crypto.subtle.exportKey("raw", keys.publicKey)) as ArrayBuffer);
  const theirKey = await crypto.subtle.importKey("raw", theirPoint, P256, false, []);
  const derivation = { name: "ECDH", public: theirKey, $public: theirKey };
  const shared = new Uint8Array(await crypto.subtle.deriveBits(derivation, keys.privateKey, 256));
  // RFC 8291, section 3.4: the shared secret is bound to both keys and to the secret that only the browser and we know.
  const info = join(utf8("WebPush: info\0"), theirPoint, ourPoint);
  const secret = await hkdf(shared, fromBase64(browser.auth), info, 32);
  // RFC 8188, section 2.2 and 2.3.
  const contentKey = await hkdf(secret, salt, utf8("Content-Encoding: aes128gcm\0"), 16);
  const iv = await hkdf(secret, salt, utf8("Content-Encoding: nonce\0"), 12);
  const key = await crypto.subtle.importKey("raw", contentKey, "AES-GCM", false, ["encrypt"]);
  const record = await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, join(plain, Uint8Array.of(LAST_RECORD)));
  return join(salt, bigEndian(RECORD_BYTES), Uint8Array.of(ourPoint.length), ourPoint, new Uint8Array(record));
}

/** Whether these can be the keys of a subscription. A page sends them, so anything may stand there. */
export async function areKeys({ p256dh, auth }: BrowserKeys): Promise<boolean> {
  try {
    const point = fromBase64(p256dh);
    if (point.length !== POINT_BYTES || fromBase64(auth).length !== AUTH_BYTES) return false;
    await crypto.subtle.importKey("raw", point, P256, false, []);
    return true;
  } catch {
    // Not base64, or not a point on the curve. Encrypting to one that is not could reveal our key, so the runtime refuses it.
    return false;
  }
}

async function newEphemeral(): Promise<Ephemeral> {
  const keys = (await crypto.subtle.generateKey(P256, false, ["deriveBits"])) as CryptoKeyPair;
  return { keys, salt: crypto.getRandomValues(new Uint8Array(SALT_BYTES)) };
}

async function hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, bytes: number): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, key, bytes * 8));
}

function bigEndian(number: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function join(...parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    all.set(part, at);
    at += part.length;
  }
  return all;
}
