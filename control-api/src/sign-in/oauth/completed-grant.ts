import type { OAuthHelpers } from "@cloudflare/workers-oauth-provider";
import type { Env } from "../../env.ts";
import { allGrants } from "./all-grants.ts";

type Allowed = Parameters<OAuthHelpers["completeAuthorization"]>[0];

/**
 * Makes the grant for what a person allowed. Answers where the code goes. The library ends an app's former grant when it is allowed again; what
 * was made with that one is passed on, or nobody could end it by taking the app back.
 */
export async function completeGrant(api: OAuthHelpers, allowed: Allowed, env: Env): Promise<URL> {
  const { userId: user } = allowed;
  const before = await grantsOfClient(api, allowed);
  const to = new URL((await api.completeAuthorization(allowed)).redirectTo);
  if (before.length === 0) return to;
  const [, id = ""] = (to.searchParams.get("code") ?? "").split(":");
  const left = new Set(await grantsOfClient(api, allowed));
  for (const former of before) if (!left.has(former)) await env.USER.getByName(user).replaceGrant(former, id);
  return to;
}

async function grantsOfClient(api: OAuthHelpers, { userId, request }: Allowed): Promise<string[]> {
  const grants = await allGrants(api, userId);
  return grants.filter(({ clientId }) => clientId === request.clientId).map(({ id }) => id);
}
