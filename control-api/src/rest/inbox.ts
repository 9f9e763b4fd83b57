import { Hono } from "hono";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import type { AppContext } from "../http/app-context.ts";
import { acting, reading } from "../http/needs.ts";
import { programAs } from "../inbox/decider.ts";
import { DecisionRequest } from "../inbox/decision-request.ts";
import type { DecisionResult, InboxItem } from "../inbox/inbox-item.ts";
import { inboxQueryOf, readInbox } from "../inbox/read-inbox.ts";
import { inboxView } from "../inbox/inbox-view.ts";
import { checkApproval } from "../machines/approval.ts";
import { registryOf } from "../user/user-rpc.ts";

/** `/api/inbox`: what sessions of all machines wait for a person to decide. */
export const inbox = new Hono<AppContext>();

/** `?machine=`, `?session=`, `?state=waiting|settled`, `?cursor=`. Those that wait come oldest first, settled ones newest first. */
inbox.get("/", reading, async (c) => {
  const { machine, session, state, cursor } = c.req.query();
  return c.json(await readInbox(c.env, c.var.caller, inboxQueryOf(c.var.caller, { machine, session, state, cursor })));
});

inbox.get("/:id", reading, async (c) => {
  const { user, machines } = c.var.caller;
  const item: InboxItem | null = await registryOf(c.env, user).inboxItem(machines, Number(c.req.param("id")));
  return item === null ? notThere() : c.json(inboxView(item, Date.now()));
});

/** Decides a request with a token, which its person must have allowed for the machine (machines/approval.ts). */
inbox.post("/:id", acting, async (c) => {
  const { caller } = c.var;
  const request = DecisionRequest.safeParse(await c.req.json().catch(() => null));
  if (!request.success)
    return errorResponse({
      code: "invalid_request",
      reason:
        'Send { behavior: "allow" or "deny", reason, answers }; answers has each question\'s text and its answer.',
    });
  const id = Number(c.req.param("id"));
  const item: InboxItem | null = await registryOf(c.env, caller.user).inboxItem(caller.computers, id);
  if (item === null) return notThere();
  await checkApproval(c.env, caller.user, item.machine);
  const by = programAs("client", caller.client, caller);
  const result: DecisionResult | OperatorError = await registryOf(c.env, caller.user).decide(id, request.data, by);
  const isRefused = "code" in result;
  const subject = `${item.kind} ${request.data.behavior === "allow" ? "allowed" : "denied"}`;
  const outcome = isRefused ? result.code : "ok";
  note(c.env, caller.user, { kind: "permission", client: caller.client, machine: item.machine, subject, outcome });
  return isRefused ? errorResponse(result) : c.json(inboxView(result.item, Date.now()));
});

function notThere(): Response {
  return errorResponse({
    code: "not_found",
    reason: "There is no such request. GET /api/inbox lists those that wait.",
  });
}
