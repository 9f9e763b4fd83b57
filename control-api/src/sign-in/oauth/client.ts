import { CimdFetchError, type ClientInfo } from "@cloudflare/workers-oauth-provider";
import type { Env } from "../../env.ts";
import { accountsOf } from "../accounts/directory.ts";
import type { Limit } from "../accounts/limits.ts";
import { oauthApi } from "./authorization-server.ts";

/** Longest client id. Registered ids are short; the id of a client with a metadata document (CIMD) is a URL. */
const MAX_ID_CHARACTERS = 2_048;

/** Fetches of metadata documents (CIMD) per client address. Limited because a stranger chooses the URL that our server requests. */
const DOCUMENTS_HERE: Limit = { times: 60, windowMs: 10 * 60_000 };

/** Whether the client id is the URL of a client ID metadata document (CIMD), which describes the client. */
export function hasDocument(clientId: string): boolean {
  return /^https:/i.test(clientId);
}

/** Counts one fetch of a client's document. Answers `false` if the limit is reached. */
export async function mayFetchDocument(address: string, env: Env): Promise<boolean> {
  return (await accountsOf(env).takeFrom("document", address, DOCUMENTS_HERE)) === 0;
}

/** How long a site may take to begin with its document: as long as the library gives it. Milliseconds. */
const DOCUMENT_WAIT_MS = 10_000;

/**
 * Throws a `CimdFetchError` unless the site that a client's id names has the client's document itself. The library follows redirects, which
 * the draft forbids: whoever finds one on somebody's site that leads to a document of theirs would have an app that the consent page calls
 * that site's. A site that is the app's own may answer the two differently, but has nothing to gain by it.
 */
export async function requireOwnDocument(clientId: string): Promise<void> {
  if (!hasDocument(clientId)) return;
  try {
    const headers = { accept: "application/json" };
    const signal = AbortSignal.timeout(DOCUMENT_WAIT_MS);
    const { status, headers: told, body } = await fetch(clientId, { redirect: "manual", headers, signal });
    await body?.cancel();
    const type = told.get("content-type") ?? "";
    if (status !== 200) throw new Error(`its site answers ${status}`);
    if (!/^application\/(?:[\w.+-]+\+)?json(?:\s*;|$)/i.test(type)) throw new Error("its site has no JSON there");
  } catch (reason) {
    throw new CimdFetchError(clientId, reason);
  }
}

/**
 * Looks up the client with an untrusted id. Answers `null` if there is none, and `unavailable` if its metadata document cannot be
 * read now or the limit of fetches is reached.
 *
 * @param address whose limit of fetches counts; `null` if no document may be fetched
 */
export async function clientOf(
  clientId: string,
  address: string | null,
  env: Env,
): Promise<ClientInfo | null | "unavailable"> {
  if (clientId === "" || clientId.length > MAX_ID_CHARACTERS) return null;
  if (hasDocument(clientId) && (address === null || !(await mayFetchDocument(address, env)))) return "unavailable";
  try {
    const client = await oauthApi(env).lookupClient(clientId);
    if (client !== null) await requireOwnDocument(clientId);
    return client;
  } catch (reason) {
    if (reason instanceof CimdFetchError) return "unavailable";
    throw reason;
  }
}
