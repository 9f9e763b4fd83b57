import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import type { Env } from "../../env.ts";
import { macOf } from "../secret.ts";

/** Random letters of the asker's choice; long enough that no answer is ever of use twice. */
const NONCE = /^[A-Za-z0-9_-]{16,64}$/;

/**
 * `GET /api/local?nonce=...`: shows that this Operator knows the owner's token, before a program of the owner's shows that token.
 * While Operator does not run, any other user of the computer may listen on its port and collect tokens. The address is part
 * of the proof, so that nobody can pass another Operator's proof on. It tells nothing of the token, which has 256 random bits.
 */
export const localProof = new Hono<{ Bindings: Env }>();

localProof.get("/api/local", async (c) => {
  const { OWNER_TOKEN_HASH: known, ORIGIN } = c.env;
  if (!known) return errorResponse({ code: "not_found", reason: "This Operator has no token of a local owner." });
  const nonce = c.req.query("nonce") ?? "";
  if (!NONCE.test(nonce))
    return errorResponse({ code: "invalid_request", reason: "A nonce has 16 to 64 of A-Z, a-z, 0-9, - and _." });
  return c.json({ proof: await macOf(`operator ${ORIGIN} ${nonce}`, known) });
});
