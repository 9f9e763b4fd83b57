import { knowsOwnerToken } from "../../trust/operator-proof.ts";
import { NotPrivate, readOwnerToken } from "../../system/operators-folder.ts";
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

function tokenFor(hub: string): string | null {
  try {
    return readOwnerToken(hub);
  } catch (reason) {
    if (!(reason instanceof NotPrivate)) throw reason;
    const fix = `Remove ${reason.path} and start that Operator again. If somebody could have read it, make a new token: delete OWNER_TOKEN in its secrets.json.`;
    throw new CodezFailure(ExitCode.FILE_BROKEN, `${reason.message}.`, fix, reason);
  }
}
