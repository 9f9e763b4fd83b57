import * as z from "zod/mini";
import { fromBase64 } from "./bytes.ts";

/** An Ed25519 public key (RFC 8032): its 32 bytes in URL-safe Base64. */
export const PublicKey = z.string().check(z.regex(/^[\w-]{43}$/));

/** An Ed25519 signature: its 64 bytes in URL-safe Base64. */
export const Signature = z.string().check(z.regex(/^[\w-]{86}$/));

/** Whether `signature` is that of `text` by the owner of this public key. A malformed key or signature proves nothing. */
export async function isSigned(signature: string, key: string, text: Uint8Array<ArrayBuffer>): Promise<boolean> {
  try {
    const imported = await crypto.subtle.importKey("raw", bytesOf(key), "Ed25519", false, ["verify"]);
    return await crypto.subtle.verify("Ed25519", imported, bytesOf(signature), text);
  } catch {
    return false; // not a point on the curve, or not Base64: nobody signed with that
  }
}

function bytesOf(text: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(fromBase64(text));
}
