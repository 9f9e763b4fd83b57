import * as z from "zod/mini";
import { base64Url, fromBase64, utf8 } from "./bytes.ts";
import { isSigned, PublicKey, Signature } from "./signature.ts";

/**
 * The key pair of a machine's link (Ed25519, RFC 8032). The private key stays on the machine. With each dial the connector
 * signs a challenge that the script made for that one socket, so a copied link token is useless without the key, and a
 * recorded dial cannot be replayed.
 */

/** The public key. */
export const LinkKey = PublicKey;

/** A challenge: 256 random bits, for one socket. */
export const Nonce = z.string().check(z.regex(/^[\w-]{43}$/));

/** The connector's signature of a challenge. */
export const Proof = Signature;

/**
 * The header of the script's 101 answer that carries the challenge, so that the proof costs no round trip. The script sends the
 * challenge again in a frame to a connector that did not get the header, for example behind a proxy that drops unknown ones.
 */
export const CHALLENGE_HEADER = "link-challenge";

/** What a proof is made for: one challenge, one token, one dial of one event stream. */
export type Challenged = {
  readonly nonce: string;
  /** SHA-256 of the link token, hex. */
  readonly tokenHash: string;
  readonly stream: string;
  /** As in `hello`. */
  readonly dial: { readonly connector: string; readonly start: number; readonly number: number };
};

/**
 * The text that the connector signs. The first line keeps it apart from anything else that this key might ever sign. JSON
 * separates the values, whatever they contain.
 */
export function proofText({ nonce, tokenHash, stream, dial }: Challenged): Uint8Array<ArrayBuffer> {
  const values = [nonce, tokenHash, stream, dial.connector, dial.start, dial.number];
  return new Uint8Array(utf8(`operator link proof, version 1\n${JSON.stringify(values)}`));
}

/** Whether `proof` is the signature of `challenged` by the owner of this public key. A malformed key or proof is no proof. */
export function isProof(proof: string, key: string, challenged: Challenged): Promise<boolean> {
  return isSigned(proof, key, proofText(challenged));
}

/** A short form of a public key for people to compare: the first 96 bits of its SHA-256, in URL-safe Base64. */
export async function fingerprintOf(key: string): Promise<string> {
  const digest = await crypto.subtle.digest("SHA-256", new Uint8Array(fromBase64(key)));
  return base64Url(new Uint8Array(digest).subarray(0, 12));
}
