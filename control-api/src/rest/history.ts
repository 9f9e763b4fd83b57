import { Hono } from "hono";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import type { ForgetAnswer } from "../history/history.ts";
import { RETENTION_RULE, Retention } from "../history/retention.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering, reading } from "../http/needs.ts";
import { sessionHandle } from "../machines/session-handle.ts";
import { webhooksOf } from "../webhooks/webhooks-rpc.ts";
import { registryOf } from "../user/user-rpc.ts";

/** `/api/history`: what was seen of machines and sessions. */
export const history = new Hono<AppContext>();

/**
 * `DELETE /api/history?machine=<name>[&session=<id>][&former=true]`: deletes a machine's events and what is known of its sessions, or
 * those of one session. Answers how many of each there were. What the machine itself keeps, the audit log and the notices stay.
 *
 * With `former=true` it deletes those of the computers that had this name before. Without it, the answer says how much of these is left.
 */
history.delete("/", administering, async (c) => {
  const { machine, session = null, former } = c.req.query();
  if (machine === undefined || machine === "" || session === "")
    return errorResponse({ code: "invalid_request", reason: "Say whose history: ?machine=<name>, and &session=<id>." });
  if ((former !== undefined && former !== "true") || (former !== undefined && session !== null))
    return errorResponse({ code: "invalid_request", reason: "former may be true, and only for a whole machine." });
  const isFormer = former === "true";
  const { user, client, credential = null } = c.var.caller;
  const registry = registryOf(c.env, user);
  const answer: ForgetAnswer | OperatorError = await registry.forget(machine, session, isFormer, credential);
  if ("code" in answer) return errorResponse(answer);
  const { forgotten, computers } = answer;
  // After the log, from which the queue is filled; and also if the log had nothing, so that a call which failed here can be repeated.
  const handle = session === null ? null : sessionHandle(machine, session);
  await webhooksOf(c.env, user).forget(machine, handle, computers);
  if (forgotten === null)
    return errorResponse({
      code: "not_found",
      reason: `There is no history of "${[machine, session ?? []].flat().join("/")}".`,
    });
  const whose = isFormer ? "history of former computers deleted" : "history deleted";
  const subject = session === null ? whose : `history of session ${session} deleted`;
  note(c.env, user, { kind: "machine_changed", client, machine, subject });
  return c.json(forgotten);
});

/**
 * `GET /api/history/retention`: for how many days, and how many, events are kept: `{ days, events }`. With `?days=&events=` it answers what
 * this choice would do, `{ days, events, stored, deletes }`, and changes nothing.
 */
history.get("/retention", reading, async (c) => {
  const registry = registryOf(c.env, c.var.caller.user);
  const { days, events } = c.req.query();
  if (days === undefined && events === undefined) return c.json(await registry.retention());
  const chosen = Retention.safeParse({ days: Number(days), events: Number(events) });
  if (!chosen.success) return errorResponse({ code: "invalid_request", reason: RETENTION_RULE });
  return c.json({ ...chosen.data, ...(await registry.retentionEffect(chosen.data)) });
});

/** `PUT /api/history/retention` with `{ days, events }`. What is older or beyond it is deleted at once. */
history.put("/retention", administering, async (c) => {
  const chosen = Retention.safeParse(await c.req.json().catch(() => null));
  if (!chosen.success) return errorResponse({ code: "invalid_request", reason: RETENTION_RULE });
  const { user, client, credential = null } = c.var.caller;
  const error: OperatorError | null = await registryOf(c.env, user).retain(chosen.data, credential);
  if (error !== null) return errorResponse(error);
  const { days, events } = chosen.data;
  note(c.env, user, {
    kind: "machine_changed",
    client,
    subject: `events are kept for ${days} days, at most ${events}`,
  });
  return c.json(chosen.data);
});
