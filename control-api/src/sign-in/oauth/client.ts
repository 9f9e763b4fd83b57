import { CimdFetchError, type ClientInfo } from "@cloudflare/workers-oauth-provider";
import type { Env } from "../../env.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Limit } from "../accounts/limits.ts";
import { limitAt } from "../address.ts";
import { oauthApi } from "./authorization-server.ts";

/** Ids that we make are short; a document's address (CIMD) is as long as addresses are. */
const MAX_ID_CHARACTERS = 2_048;

/** Documents (CIMD) that one address may have fetched: each is a request of ours to wherever a stranger says. */
const DOCUMENTS_HERE: Limit = { times: 60, windowMs: 10 * 60_000 };
/** And all addresses together. */
const DOCUMENTS_ANYWHERE: Limit = { times: 2_000, windowMs: 60 * 60_000 };

/** Whether a client says who it is in a document of its own, at the address that is its id. */
export function hasDocument(clientId: string): boolean {
  return /^https:/i.test(clientId);
}

/** Counts one fetch of a client's document. `false`: there were too many. */
export async function mayFetchDocument(address: string, env: Env): Promise<boolean> {
  const accounts = accountsOf(env);
  const waitMs =
    (await accounts.take(`document:${address}`, limitAt(address, DOCUMENTS_HERE))) ||
    (await accounts.take("document", DOCUMENTS_ANYWHERE));
  return waitMs === 0;
}

/**
 * The client of an id that anybody may have sent; `null` when there is none, `unavailable` when its own document could not be
 * read just now, or too many were.
 *
 * @param address who asks; `null` where no document may be fetched
 */
export async function clientOf(
  clientId: string,
  address: string | null,
  env: Env,
): Promise<ClientInfo | null | "unavailable"> {
  if (clientId === "" || clientId.length > MAX_ID_CHARACTERS) return null;
  if (hasDocument(clientId) && (address === null || !(await mayFetchDocument(address, env)))) return "unavailable";
  try {
    return await oauthApi(env).lookupClient(clientId);
  } catch (reason) {
    if (reason instanceof CimdFetchError) return "unavailable";
    throw reason;
  }
}
