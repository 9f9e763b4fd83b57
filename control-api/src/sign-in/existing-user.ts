import { OWNER } from "../http/caller.ts";
import { accountsOf } from "./accounts/directory.ts";
import type { AccountsBindings } from "./accounts/accounts-rpc.ts";

/**
 * Users that exist, as this isolate has learned. It needs no limit, since nobody can add a user who does not exist, and no end: the object of a
 * removed user refuses everything (user/closure.ts).
 */
const existing = new Set<string>([OWNER]);

/**
 * Whether there is a user with this id. It must be asked before the object of a user is reached whose id came from a stranger, such as in
 * an invalid token: reaching an object creates it, with its tables on the disk, and a new one reads the dispatch namespace through
 * Cloudflare's API. Strangers could fill the disk, and use up the API's rate for everybody.
 *
 * The directory of people answers it once per user and isolate, so that calls do not wait for it.
 */
export async function isExistingUser(id: string, env: AccountsBindings): Promise<boolean> {
  if (existing.has(id)) return true;
  if (!(await accountsOf(env).isUser(id))) return false;
  existing.add(id);
  return true;
}

/** Notes a user for whom somebody else than the directory vouches, so that their personal access tokens are looked up. */
export async function vouchFor(id: string, env: AccountsBindings): Promise<void> {
  if (existing.has(id)) return;
  await accountsOf(env).vouchFor(id);
  existing.add(id);
}
