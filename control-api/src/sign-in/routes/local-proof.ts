import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import type { Env } from "../../env.ts";
import { macOf } from "../secret.ts";

/** A random value that the caller chooses, long enough never to repeat, so that a recorded proof cannot be replayed. */
const NONCE = /^[A-Za-z0-9_-]{16,64}$/;

/**
 * `GET /api/local?nonce=...`: proves that this server knows the owner's token, before the owner's programs send it that token.
 * While Operator does not run, another user of the computer could listen on its port and collect tokens. The proof covers the
 * server's own address, so such a listener cannot relay the proof of an Operator elsewhere. Nobody can compute the token from
 * a proof, because it has 256 random bits.
 */
export const localProof = new Hono<{ Bindings: Env }>();

localProof.get("/api/local", async (c) => {
  const { OWNER_TOKEN_HASH: known, ORIGIN } = c.env;
  if (!known) return errorResponse({ code: "not_found", reason: "This Operator has no local owner's token." });
  const nonce = c.req.query("nonce") ?? "";
  if (!NONCE.test(nonce))
    return errorResponse({
      code: "invalid_request",
      reason: "A nonce must have 16 to 64 characters of A-Z, a-z, 0-9, - and _.",
    });
  return c.json({ proof: await macOf(`operator ${ORIGIN} ${nonce}`, known) });
});
