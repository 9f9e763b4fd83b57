import { createHash, createHmac, randomBytes, timingSafeEqual } from "node:crypto";
import { LocalProof, localProofText } from "#protocol/operator-key.ts";
import { isSigned } from "#protocol/signature.ts";
import { tell } from "../print.ts";
import { boundedFetch } from "../system/bounded-fetch.ts";
import { isFileFailure } from "../system/disk-failure.ts";
import {
  NotPrivate,
  operatorFile,
  type OwnerToken,
  readOperatorKey,
  readOwnerTokens,
  writeKnown,
} from "../system/operators-folder.ts";

/** Enough for a server on this computer. Milliseconds. */
const TIMEOUT_MS = 5_000;

/** Three values of less than a hundred characters. */
const MAX_ANSWER_BYTES = 4 * 1024;

/**
 * Why nothing may be sent to what answers at `origin`, and no machine linked to it; `null` if it may be. With TLS the address is proof enough. But
 * on this computer any user's program could have Operator's port while that does not run. So what is known of the Operator there (the owner's
 * token, or its public key) it has to prove first. One of which nothing is known is believed once, as by `ssh`, and its key is kept.
 */
export async function whyNotTrust(origin: string): Promise<string | null> {
  const keyFile = operatorFile(origin, "key");
  if (keyFile === null) return null;
  let known;
  try {
    known = knownOf(origin);
  } catch (reason) {
    if (reason instanceof NotPrivate || isFileFailure(reason)) return reason.message;
    throw reason;
  }
  const { tokens, key } = known;
  const answer = await challenge(origin);
  if (answer !== null && tokens.some(({ token }) => provesToken(answer, token))) return null;
  if (answer !== null && key !== null && (await provesKey(answer, key))) return null;
  if (tokens.length === 0 && key === null) {
    if (answer?.key !== undefined && (await provesKey(answer, answer.key))) keep(origin, answer.key);
    return null;
  }
  const away = `this computer's Operator does not answer at ${origin}`;
  if (answer === null) return away;
  if (tokens.length === 0 && answer.key === undefined)
    return `${away}: what answers there proves nothing. It may be a release before 0.5, which had no key, or another program. The key that is expected is in ${keyFile}`;
  // All that is known here is of the one before, and each of these files alone would go on saying so.
  const files = [...tokens.map(({ file }) => file), ...(key === null ? [] : [keyFile])];
  return `${away}, but another one. If you know that it was set up anew, remove ${files.join(" and ")}`;
}

/** Throws NotPrivate and errors of the file system. */
function knownOf(origin: string): { tokens: readonly OwnerToken[]; key: string | null } {
  const tokens = readOwnerTokens(origin);
  try {
    return { tokens, key: readOperatorKey(origin) };
  } catch (reason) {
    // Whoever has to know a token is believed no sooner without a key.
    if (tokens.length > 0 && isFileFailure(reason)) return { tokens, key: null };
    throw reason;
  }
}

/** Whether the program that listens at `origin` proves that it knows this owner's token. Asked before that token is sent. */
export async function knowsOwnerToken(origin: string, token: string): Promise<boolean> {
  const answer = await challenge(origin);
  return answer !== null && provesToken(answer, token);
}

type Answer = LocalProof & { readonly origin: string; readonly nonce: string };

/** What a program says of itself (control-api/src/sign-in/routes/local-proof.ts); `null` if it cannot be reached, or is not an Operator of this computer. */
async function challenge(address: string): Promise<Answer | null> {
  const { origin } = new URL(address);
  const nonce = randomBytes(24).toString("base64url");
  try {
    const limit = { signal: AbortSignal.timeout(TIMEOUT_MS) };
    const response = await boundedFetch(new URL(`/api/local?nonce=${nonce}`, origin), limit, MAX_ANSWER_BYTES);
    return { ...LocalProof.parse(await response.json()), origin, nonce };
  } catch {
    return null;
  }
}

function provesToken({ proof, origin, nonce }: Answer, token: string): boolean {
  const key = createHash("sha256").update(token).digest("hex");
  const expected = createHmac("sha256", key).update(`operator ${origin} ${nonce}`).digest("base64url");
  const [shown, right] = [Buffer.from(proof), Buffer.from(expected)];
  return shown.length === right.length && timingSafeEqual(shown, right);
}

async function provesKey({ signature, origin, nonce }: Answer, key: string): Promise<boolean> {
  return signature !== undefined && (await isSigned(signature, key, localProofText(origin, nonce)));
}

/** Keeps the key of an Operator that is met for the first time. If it cannot be written, the next request meets it for the first time again. */
function keep(origin: string, key: string): void {
  try {
    tell(`${origin} is known by its key from now on, in ${writeKnown(origin, "key", key)}`);
  } catch (reason) {
    if (!isFileFailure(reason)) throw reason;
    tell(`The key of ${origin} cannot be kept: ${reason.message}`);
  }
}
