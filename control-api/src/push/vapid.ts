import * as z from "zod/mini";
import { base64Url, fromBase64, utf8 } from "#protocol/bytes.ts";

const ES256 = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

/** How long a token is valid. RFC 8292, section 2, allows a day; push services' clocks differ by minutes. Milliseconds. */
const TOKEN_LIFE_MS = 12 * 60 * 60_000;

/**
 * The key with which an application server identifies itself to push services. `publicKey` is the point in base64url that browsers
 * bind a subscription to (`applicationServerKey`), `privateKey` the number `d` of the JWK.
 */
export const VapidKey = z.object({ publicKey: z.string(), privateKey: z.string() });
export type VapidKey = z.infer<typeof VapidKey>;

export async function makeVapidKey(): Promise<VapidKey> {
  const pair = (await crypto.subtle.generateKey(ES256, true, ["sign"])) as CryptoKeyPair;
  const point = (await crypto.subtle.exportKey("raw", pair.publicKey)) as ArrayBuffer;
  const { d: privateKey = "" } = (await crypto.subtle.exportKey("jwk", pair.privateKey)) as JsonWebKey;
  return { publicKey: base64Url(new Uint8Array(point)), privateKey };
}

/**
 * The `Authorization` header for a request to a push service (RFC 8292). The token is valid for this service only.
 *
 * @param subject whom the service may turn to, an https or mailto URI; `null` for an Operator that has no public address
 */
export async function vapidHeader(
  { publicKey, privateKey }: VapidKey,
  endpoint: string,
  subject: string | null,
  nowMs: number,
): Promise<string> {
  const claims = {
    aud: new URL(endpoint).origin,
    exp: Math.floor((nowMs + TOKEN_LIFE_MS) / 1_000),
    ...(subject === null ? {} : { sub: subject }),
  };
  const signed = `${part({ typ: "JWT", alg: "ES256" })}.${part(claims)}`;
  // The point is a byte that says how it is written, then x and y.
  const point = fromBase64(publicKey);
  const jwk = {
    kty: "EC",
    crv: "P-256",
    x: base64Url(point.slice(1, 33)),
    y: base64Url(point.slice(33)),
    d: privateKey,
  };
  const key = await crypto.subtle.importKey("jwk", jwk, ES256, false, ["sign"]);
  const signature = new Uint8Array(await crypto.subtle.sign(ES256, key, utf8(signed)));
  return `vapid t=${signed}.${base64Url(signature)}, k=${publicKey}`;
}

function part(value: object): string {
  return base64Url(utf8(JSON.stringify(value)));
}
