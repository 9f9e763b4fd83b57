import * as z from "zod/mini";
import { utf8 } from "./bytes.ts";
import { PublicKey, Signature } from "./signature.ts";

/**
 * How an Operator on this computer, which has no TLS, proves what it is: its answer to a random value of the caller's (`GET /api/local?nonce=...`).
 * `proof` is for callers who know the owner's token, `signature` for those who know its public key. An Operator before 0.5 has no key.
 */
export const LocalProof = z.object({
  proof: z.string().check(z.maxLength(128)),
  key: z.optional(PublicKey),
  signature: z.optional(Signature),
});
export type LocalProof = z.infer<typeof LocalProof>;

/**
 * The text that Operator signs. The first line keeps it apart from anything else that this key might ever sign. Its own address is part of it, so
 * that what has taken one Operator's port cannot pass on the signature of another.
 */
export function localProofText(origin: string, nonce: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(utf8(`operator local proof, version 1\n${JSON.stringify([origin, nonce])}`));
}
