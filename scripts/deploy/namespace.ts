import Cloudflare, { APIError, NotFoundError } from "cloudflare";
import type { Settings } from "./settings.ts";

const NAMESPACE = "operator";

/** A call to Cloudflare's API that takes longer has failed. Milliseconds. */
const TIMEOUT_MS = 30_000;

/** Creates the dispatch namespace if it does not exist. @throws Error that says what to do if the account may not have one */
export async function ensureNamespace({ accountId, apiToken, apiUrl }: Settings): Promise<"made" | "there"> {
  const client = new Cloudflare({ apiToken, baseURL: apiUrl, timeout: TIMEOUT_MS });
  const { namespaces } = client.workersForPlatforms.dispatch;
  try {
    await namespaces.get(NAMESPACE, { account_id: accountId });
    return "there";
  } catch (reason) {
    if (!(reason instanceof NotFoundError)) throw explain(reason);
  }
  try {
    await namespaces.create({ account_id: accountId, name: NAMESPACE });
    return "made";
  } catch (reason) {
    throw explain(reason);
  }
}

/** Cloudflare's refusals, with what to do about them. */
function explain(reason: unknown): unknown {
  if (!(reason instanceof APIError)) return reason;
  if (reason.status === 401) return new Error("Cloudflare does not know this CLOUDFLARE_API_TOKEN.", { cause: reason });
  if (reason.status === 403)
    return new Error(
      "Cloudflare refuses: the token lacks the permission Workers Scripts: Edit, or the account has no Workers for Platforms. It is a paid add-on: dash.cloudflare.com, Workers & Pages, Workers for Platforms.",
      { cause: reason },
    );
  return reason;
}
