import { errorResponse } from "#protocol/error.ts";
import { ScriptPath } from "#protocol/script-api.ts";
import { isSlug } from "#protocol/slug.ts";
import type { Env } from "../env.ts";
import { refuse } from "../http/refusal.ts";
import type { Rate } from "#protocol/token-bucket.ts";
import { noteWithin } from "#protocol/keep-within.ts";
import { TokenBuckets } from "../http/token-buckets.ts";
import { addressOf, rateAt } from "../sign-in/address.ts";
import { passToMachine } from "./script-client.ts";

/** The form of a header with a link token. */
const BEARER = /^Bearer opl_[\w.~+/=-]{1,512}$/i;

/**
 * Dials with a wrong token, per address. Each starts the machine's script if it is idle. A connector stops after one such answer,
 * so this is enough for a household whose computers were all removed at once.
 */
const WRONG_TOKEN: Rate = { perSecond: 0.1, burst: 60 };

/** Entries in each of the maps below, of about 100 bytes. */
const REMEMBERED = 5_000;

/** Counted in this isolate's memory, for the reason given in sign-in/admission.ts. */
const ofAddresses = new TokenBuckets(REMEMBERED);

/**
 * Machines and the `Authorization` headers with which they were connected, so that strangers at the same address cannot keep one out. A
 * header that is right at one machine is a wrong token at every other, and counts as one there.
 */
const known = new Map<string, true>();

/**
 * The door of connectors: passes a dial, or a question for the machine's own status, on to its machine's script, which checks the link
 * token. A request that cannot have a valid token is refused here, and so is one from an address that has shown too many wrong ones. Neither reaches a script.
 */
export async function dialIn(request: Request, url: URL, env: Env, slug: string): Promise<Response> {
  const { headers } = request;
  const authorization = headers.get("authorization") ?? "";
  // A GET that is no upgrade asks for the machine's own status: `codez status`.
  const canBeConnector = request.method === "GET" && BEARER.test(authorization);
  if (!canBeConnector || !isSlug(slug)) return errorResponse({ code: "unauthorized" });
  const nowMs = Date.now();
  const address = addressOf(request, env);
  const dialled = `${slug} ${authorization}`;
  const bucket = known.has(dialled) ? null : ofAddresses.of(address, rateAt(address, WRONG_TOKEN), nowMs);
  const afterMs = bucket?.take(nowMs) ?? 0;
  // Not 401, which would stop a connector permanently: it dials again later.
  if (afterMs > 0) return refuse({ refused: "too_many", of: "address", afterMs }, url, env);
  const response = await passToMachine(request, env, null, slug, ScriptPath.LINK);
  if (response.status === 401) known.delete(dialled);
  else bucket?.giveBack();
  if (response.status === 101) noteWithin(known, REMEMBERED, dialled, true);
  return response;
}
