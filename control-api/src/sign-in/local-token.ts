import { hashOf } from "./access-token.ts";
import { isSame } from "./secret.ts";

/** The token that this isolate accepted last, and the hash that it has. */
let accepted: { readonly token: string; readonly hash: string } | null = null;

/**
 * Whether `token` is the owner's token of a local start, whose hash is `hash`. Comparisons take constant time, so timing reveals nothing.
 *
 * On a local start nearly every call has this token, and hashing it takes about 13 µs of CPU. So it is hashed once. A new
 * token comes only with a restart, which also starts a new isolate; a changed hash is noticed in any case.
 */
export async function isLocalToken(token: string, hash: string | undefined): Promise<boolean> {
  if (hash === undefined || hash === "") return false;
  if (accepted !== null && accepted.hash === hash && isSame(token, accepted.token)) return true;
  if (!isSame(await hashOf(token), hash)) return false;
  accepted = { token, hash };
  return true;
}
