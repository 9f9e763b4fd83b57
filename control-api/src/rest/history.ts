import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import type { Forgotten } from "../history/history.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering } from "../http/needs.ts";
import { registryOf } from "../user/user-rpc.ts";

/** `/api/history`: what was seen of machines and sessions. */
export const history = new Hono<AppContext>();

/**
 * `DELETE /api/history?machine=<name>[&session=<id>]`: deletes a machine's events and what is known of its sessions, or those of one
 * session. Answers how many of each there were. What the machine itself keeps, and the audit log, stay.
 */
history.delete("/", administering, async (c) => {
  const { machine, session = null } = c.req.query();
  if (machine === undefined || machine === "" || session === "")
    return errorResponse({ code: "invalid_request", reason: "Say whose history: ?machine=<name>, and &session=<id>." });
  const { user, client } = c.var.caller;
  const forgotten: Forgotten | null = await registryOf(c.env, user).forget(machine, session);
  if (forgotten === null)
    return errorResponse({
      code: "not_found",
      reason: `There is no history of "${[machine, session ?? []].flat().join("/")}".`,
    });
  const subject = session === null ? "history deleted" : `history of session ${session} deleted`;
  note(c.env, user, { kind: "machine_changed", client, machine, subject });
  return c.json(forgotten);
});
