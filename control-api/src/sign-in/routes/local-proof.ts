import { Hono } from "hono";
import { base64Url } from "#protocol/bytes.ts";
import { errorResponse } from "#protocol/error.ts";
import { type LocalProof, localProofText } from "#protocol/operator-key.ts";
import type { Env } from "../../env.ts";
import { macOf } from "../secret.ts";

/** A random value that the caller chooses, long enough never to repeat, so that a recorded proof cannot be replayed. */
const NONCE = /^[A-Za-z0-9_-]{16,64}$/;

/**
 * `GET /api/local?nonce=...`: proves which Operator this is, before programs on this computer send it a token or link a machine to it. While
 * Operator does not run, another user of the computer could listen on its port.
 *
 * The programs of its owner know the owner's token, which nobody can compute from a proof, because it has 256 random bits. Those of other users
 * know its public key. Both proofs cover the server's own address, so such a listener cannot relay the proof of an Operator elsewhere.
 */
export const localProof = new Hono<{ Bindings: Env }>();

localProof.get("/api/local", async (c) => {
  const { OWNER_TOKEN_HASH: known, LOCAL_KEY: key, ORIGIN } = c.env;
  if (!known || !key) return errorResponse({ code: "not_found", reason: "This Operator has TLS to prove what it is." });
  const nonce = c.req.query("nonce") ?? "";
  if (!NONCE.test(nonce))
    return errorResponse({
      code: "invalid_request",
      reason: "A nonce must have 16 to 64 characters of A-Z, a-z, 0-9, - and _.",
    });
  const [proof, signed] = await Promise.all([
    macOf(`operator ${ORIGIN} ${nonce}`, known),
    signedBy(key, localProofText(ORIGIN, nonce)),
  ]);
  return c.json({ proof, ...signed } satisfies LocalProof);
});

/** The signature of a text by a private key (JWK), with its public key. */
async function signedBy(jwk: string, text: Uint8Array<ArrayBuffer>): Promise<{ key: string; signature: string }> {
  const pair = JSON.parse(jwk) as JsonWebKey & { x: string }; // scripts/local made it
  const key = await crypto.subtle.importKey("jwk", pair, "Ed25519", false, ["sign"]);
  const signature = base64Url(new Uint8Array(await crypto.subtle.sign("Ed25519", key, text)));
  return { key: pair.x, signature };
}
