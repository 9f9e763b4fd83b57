import type { Env } from "../env.ts";
import { accountsOf } from "./accounts/directory.ts";
import type { Person } from "./accounts/people.ts";
import { authorizationServer } from "./oauth/authorization-server.ts";
import { forgetTokens } from "./oauth/grant-token.ts";

/**
 * Takes a user off this Operator: sessions, grants, tokens and machines. Answers the name they had; `null` when there is no
 * such user, or it is the owner. Their audit log stays until its entries are old.
 */
export async function removePerson(id: string, env: Env): Promise<string | null> {
  const person: Person | null = await accountsOf(env).person(id);
  if (person === null || !(await accountsOf(env).removePerson(id))) return null;
  const api = authorizationServer(env).getOAuthApi(env);
  for (;;) {
    const { items } = await api.listUserGrants(id);
    if (items.length === 0) break;
    await Promise.all(items.map((grant) => api.revokeGrant(grant.id, id)));
  }
  forgetTokens();
  await env.USER.getByName(id).removeAll();
  return person.name;
}
