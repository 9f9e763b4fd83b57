import type { GrantSummary, OAuthHelpers } from "@cloudflare/workers-oauth-provider";

/** All of a person's grants, also those whose code was not redeemed yet. The library lists them page by page. */
export async function allGrants(api: OAuthHelpers, user: string): Promise<GrantSummary[]> {
  const grants: GrantSummary[] = [];
  let cursor: string | undefined;
  do {
    const page = await api.listUserGrants(user, cursor === undefined ? {} : { cursor });
    grants.push(...page.items);
    ({ cursor } = page);
  } while (cursor !== undefined);
  return grants;
}
