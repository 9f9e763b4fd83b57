import { knowsOwnerToken } from "../../system/owner-proof.ts";
import { NotPrivate, readOwnerToken } from "../../system/owner-token.ts";
import { ExitCode } from "../exit-code.ts";
import { CodezFailure } from "../failure.ts";

/**
 * The token that the Operator at `hub` wrote to a file on this computer, for the programs of the user who started it; `null` when
 * there is none. It is returned only after that Operator has proved that it knows the token: while Operator is not running,
 * any user of this computer could listen on its port. Throws `CodezFailure` when other users can read the file.
 */
export async function localOwnerToken(hub: string): Promise<string | null> {
  const token = tokenFor(hub);
  return token !== null && (await knowsOwnerToken(hub, token)) ? token : null;
}

/**
 * Replaces `localhost` by 127.0.0.1 if an Operator wrote a token for that address. `localhost` may also resolve to `[::1]`, where
 * another user's program may listen. Any other address is returned unchanged.
 */
export function plainLoopback(hub: string): string {
  const url = new URL(hub);
  if (url.hostname !== "localhost") return hub;
  url.hostname = "127.0.0.1";
  return tokenFor(url.origin) === null ? hub : url.origin;
}

function tokenFor(hub: string): string | null {
  try {
    return readOwnerToken(hub);
  } catch (reason) {
    if (!(reason instanceof NotPrivate)) throw reason;
    const fix = `Remove ${reason.path} and start that Operator again. If somebody could have read it, make a new token: delete OWNER_TOKEN in its secrets.json.`;
    throw new CodezFailure(ExitCode.FILE_BROKEN, `${reason.message}.`, fix, reason);
  }
}
