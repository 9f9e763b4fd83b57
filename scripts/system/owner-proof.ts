import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import * as z from "zod";
import { boundedFetch } from "./bounded-fetch.ts";

/** Enough for a server on this computer. Milliseconds. */
const TIMEOUT_MS = 5_000;

const Proof = z.object({ proof: z.string().max(128) });

/**
 * Whether the program that listens at `origin` proves that it knows its owner's token (control-api/src/sign-in/routes/local-proof.ts). Asked
 * before the token is sent: while Operator is not running, any user of this computer could listen on its port.
 */
export async function knowsOwnerToken(origin: string, token: string): Promise<boolean> {
  const nonce = randomBytes(24).toString("base64url");
  let proof: string;
  try {
    const response = await boundedFetch(new URL(`/api/local?nonce=${nonce}`, origin), {
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    proof = Proof.parse(await response.json()).proof;
  } catch {
    return false; // Unreachable, or not an Operator of this computer. The command's own request then fails without a token, and says so.
  }
  const key = createHash("sha256").update(token).digest("hex");
  const expected = createHmac("sha256", key)
    .update(`operator ${new URL(origin).origin} ${nonce}`)
    .digest("base64url");
  const [shown, right] = [Buffer.from(proof), Buffer.from(expected)];
  return shown.length === right.length && timingSafeEqual(shown, right);
}
