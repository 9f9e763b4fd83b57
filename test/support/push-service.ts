import { base64Url, fromBase64 } from "#protocol/bytes.ts";

const P256 = { name: "ECDH", namedCurve: "P-256" } as const;

/** Keys, by what both Node and the runtime of Workers have types for. */
type Key = Awaited<ReturnType<typeof crypto.subtle.importKey>>;
type KeyPair = { readonly publicKey: Key; readonly privateKey: Key };

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

function joined(...parts: readonly Uint8Array[]): Uint8Array {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

async function hkdf(secret: Uint8Array, salt: Uint8Array, info: Uint8Array, bytes: number): Promise<Uint8Array> {
  const key = await crypto.subtle.importKey("raw", secret, "HKDF", false, ["deriveBits"]);
  return new Uint8Array(await crypto.subtle.deriveBits({ name: "HKDF", hash: "SHA-256", salt, info }, key, bytes * 8));
}

/** A browser's side of a push subscription: it has the private key, and reads messages as RFC 8291 says. */
export class TestBrowserPush {
  readonly endpoint: string;
  readonly keys: { readonly p256dh: string; readonly auth: string };
  readonly #pair: KeyPair;

  static async make(endpoint: string): Promise<TestBrowserPush> {
    const pair = (await crypto.subtle.generateKey(P256, true, ["deriveBits"])) as KeyPair;
    const point = (await crypto.subtle.exportKey("raw", pair.publicKey)) as ArrayBuffer;
    const auth = base64Url(crypto.getRandomValues(new Uint8Array(16)));
    return new TestBrowserPush(endpoint, pair, { p256dh: base64Url(new Uint8Array(point)), auth });
  }

  private constructor(endpoint: string, pair: KeyPair, keys: { p256dh: string; auth: string }) {
    this.endpoint = endpoint;
    this.#pair = pair;
    this.keys = keys;
  }

  /** The text of a message. Throws if it is not for this browser, or was changed. */
  async decrypt(message: Uint8Array): Promise<string> {
    const salt = message.slice(0, 16);
    const length = message[20] ?? 0;
    const theirPoint = message.slice(21, 21 + length);
    const ourPoint = fromBase64(this.keys.p256dh);
    const theirKey = await crypto.subtle.importKey("raw", theirPoint, P256, false, []);
    const derivation = { name: "ECDH", public: theirKey, $public: theirKey };
    const shared = new Uint8Array(await crypto.subtle.deriveBits(derivation, this.#pair.privateKey, 256));
    const info = joined(bytesOf("WebPush: info\0"), ourPoint, theirPoint);
    const secret = await hkdf(shared, fromBase64(this.keys.auth), info, 32);
    const key = await hkdf(secret, salt, bytesOf("Content-Encoding: aes128gcm\0"), 16);
    const iv = await hkdf(secret, salt, bytesOf("Content-Encoding: nonce\0"), 12);
    const opened = await crypto.subtle.importKey("raw", key, "AES-GCM", false, ["decrypt"]);
    const plain = new Uint8Array(
      await crypto.subtle.decrypt({ name: "AES-GCM", iv }, opened, message.slice(21 + length)),
    );
    const end = plain.findLastIndex((byte) => byte !== 0);
    if (plain[end] !== 2) throw new Error("the last record has no delimiter");
    return new TextDecoder().decode(plain.slice(0, end));
  }
}

/** Checks the token with which an application server identifies itself (RFC 8292). Answers its claims. */
export async function vapidClaims(header: string): Promise<{ aud: string; exp: number; sub?: string; key: string }> {
  const [, token = "", key = ""] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(header) ?? [];
  const [head = "", claims = "", signature = ""] = token.split(".");
  const es256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const verifier = await crypto.subtle.importKey("raw", fromBase64(key), es256, false, ["verify"]);
  if (!(await crypto.subtle.verify(es256, verifier, fromBase64(signature), bytesOf(`${head}.${claims}`))))
    throw new Error("the signature is wrong");
  const text = (part: string): string => new TextDecoder().decode(fromBase64(part));
  if (JSON.parse(text(head)).alg !== "ES256") throw new Error("the algorithm is not ES256");
  return { ...JSON.parse(text(claims)), key };
}
