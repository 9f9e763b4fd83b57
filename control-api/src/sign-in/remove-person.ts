import { OWNER } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { accountsOf } from "./accounts/directory.ts";
import { Store } from "./oauth/store/store.ts";

/** The form of user ids, which are created in accounts/enrolment.ts and authkit/caller.ts. */
const USER_ID = /^[a-z0-9-]{1,64}$/;

/**
 * Removes a user from this Operator: credentials, sessions, device codes, grants, tokens and machines. Answers the user's name, or
 * `null` if the directory has no such user or it is the owner. The audit log stays until its entries expire.
 *
 * The order matters. First the three places that hold credentials are closed permanently, so that an operation already running
 * (an approved code being redeemed, a refresh) cannot create a new token afterwards. The name is deleted last: if a machine's
 * script could not be deleted, the user is still listed and can be removed again. The removal can be repeated, even for an id
 * that is no longer listed.
 */
export async function removePerson(id: string, env: Env): Promise<string | null> {
  if (id === OWNER || !USER_ID.test(id)) return null;
  const accounts = accountsOf(env);
  const user = env.USER.getByName(id);
  await Promise.all([accounts.lockOut(id), user.close(), new Store(env).removeUser(id)]);
  await env.WEBHOOKS.getByName(id).removeAll();
  await user.removeAll();
  const name: string | null = await accounts.forget(id);
  return name;
}
