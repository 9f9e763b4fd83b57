import { OWNER } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { accountsOf } from "./accounts/directory.ts";
import type { Person } from "./accounts/people.ts";
import { Store } from "./oauth/store/store.ts";

/** Ids that users have (accounts/enrolment.ts, authkit/caller.ts). */
const USER_ID = /^[a-z0-9-]{1,64}$/;

/**
 * Takes a user off this Operator: ways to sign in, sessions, device codes, grants, tokens and machines. Answers the name
 * they had; `null` when the directory has no such user, or it is the owner. Their audit log stays until its entries are old.
 *
 * First the places that hold what a user can come in with are closed for good, so that nothing which is under way (a code
 * that is approved and not yet redeemed, a refresh) makes anything new. The name goes last: if a machine's script could not
 * be deleted, the user is still listed and can be removed again. All of it may be repeated, also for somebody who is on no
 * list any more.
 */
export async function removePerson(id: string, env: Env): Promise<string | null> {
  if (id === OWNER || !USER_ID.test(id)) return null;
  const accounts = accountsOf(env);
  const person: Person | null = await accounts.person(id);
  const user = env.USER.getByName(id);
  await Promise.all([accounts.lockOut(id), user.close(), new Store(env).removeUser(id)]);
  await user.removeAll();
  await accounts.forget(id);
  return person?.name ?? null;
}
