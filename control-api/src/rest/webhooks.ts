import { Hono } from "hono";
import * as z from "zod/mini";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { note } from "../audit/note.ts";
import type { AppContext } from "../http/app-context.ts";
import type { Caller } from "../http/caller.ts";
import { administering } from "../http/needs.ts";
import { EVENT_TYPE_BY_NAME } from "../mcp-events/event-type.ts";
import { EventsFailure } from "../mcp-events/events-error.ts";
import { whyUnknown } from "../http/shown-machine.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { type AskedFilter, parseFilter } from "../mcp-events/subscription-arguments.ts";
import { registryOf } from "../user/user-rpc.ts";
import type { Added, AddRequest } from "../webhooks/add-request.ts";
import type { Posted } from "../webhooks/post.ts";
import { isTopicUrl } from "../webhooks/topic-url.ts";
import { type Overview, type TooOften, webhooksOf } from "../webhooks/webhooks-rpc.ts";

const Request = z.strictObject({
  url: z.string(),
  kind: z.optional(z.enum(["webhook", "ntfy"])),
  types: z.optional(z.array(z.string()).check(z.minLength(1), z.maxLength(EVENT_TYPE_BY_NAME.size))),
  machineId: z.optional(z.string()),
  session: z.optional(z.string()),
});

/**
 * `/api/webhooks`: a person's own webhooks, what their MCP clients are subscribed to, and messages that could not be delivered.
 *
 * - GET lists all of it; a webhook's secret is shown only once, in the answer that creates it.
 * - POST adds a webhook, or a topic of ntfy. Whoever may do that owns the account, so the receiver is not asked whether it agrees.
 * - DELETE /:id removes one of any kind, POST /:id/test tries one out, POST /:id/retry sends given-up messages again.
 */
export const webhooks = new Hono<AppContext>();

webhooks.get("/", administering, async (c) => {
  const overview: Overview = await webhooksOf(c.env, c.var.caller.user).overview();
  return c.json(overview);
});

webhooks.post("/", administering, async (c) => {
  const { caller } = c.var;
  const parsed = Request.safeParse(await c.req.json().catch(() => null));
  if (!parsed.success) return invalid("Send { url, kind?, types?, machineId?, session? }; kind is webhook or ntfy.");
  const { url, kind = "webhook", types = null } = parsed.data;
  const unknown = types?.find((name) => !EVENT_TYPE_BY_NAME.has(name));
  if (unknown !== undefined)
    return invalid(`There is no event type "${unknown}". The types: ${[...EVENT_TYPE_BY_NAME.keys()].join(", ")}.`);
  if (kind === "ntfy" && !isTopicUrl(url))
    return invalid("The URL of a topic ends with its name, such as https://ntfy.sh/my-topic.");
  let asked: AskedFilter;
  try {
    asked = parseFilter({ machineId: parsed.data.machineId, session: parsed.data.session });
  } catch (reason) {
    if (reason instanceof EventsFailure) return invalid(reason.message);
    throw reason;
  }
  const { machine: name, session } = asked;
  const machine: MachineRecord | null = name === null ? null : await registryOf(c.env, caller.user).machine(name);
  if (name !== null && machine === null) return errorResponse({ code: "machine_unknown", machine: name });
  if (machine?.identity === "") return invalid(whyUnknown(machine.name));
  const filter = { machine: machine === null ? null : { name: machine.name, identity: machine.identity }, session };
  const request: AddRequest = { ...whoAdds(caller), kind, url, types, filter };
  const added: Added | OperatorError = await webhooksOf(c.env, caller.user).add(request);
  if ("code" in added) return errorResponse(added);
  note(c.env, caller.user, { kind: "webhook_added", client: caller.client, subject: new URL(added.url).origin });
  return c.json(added, 201);
});

webhooks.delete("/:id", administering, async (c) => {
  const { caller } = c.var;
  const url: string | null = await webhooksOf(c.env, caller.user).remove(c.req.param("id"));
  if (url === null) return unknownWebhook();
  note(c.env, caller.user, { kind: "webhook_removed", client: caller.client, subject: new URL(url).origin });
  return c.body(null, 204);
});

webhooks.post("/:id/test", administering, async (c) => {
  const posted: Posted | TooOften | null = await webhooksOf(c.env, c.var.caller.user).tryOut(c.req.param("id"));
  if (posted === null) return unknownWebhook();
  if ("afterMs" in posted) return errorResponse({ code: "too_many_requests", of: "tries", ...posted });
  return c.json(posted.ok ? { delivered: true } : { delivered: false, fault: posted.fault });
});

webhooks.post("/:id/retry", administering, async (c) => {
  const retried: number | TooOften | null = await webhooksOf(c.env, c.var.caller.user).retry(c.req.param("id"));
  if (retried === null) return unknownWebhook();
  return typeof retried === "number"
    ? c.json({ retried })
    : errorResponse({ code: "too_many_requests", of: "tries", ...retried });
});

function whoAdds({ user, client, credential }: Caller): Pick<AddRequest, "user" | "client" | "credential"> {
  return { user, client, credential: credential ?? null };
}

function unknownWebhook(): Response {
  return errorResponse({ code: "not_found", reason: "There is no such webhook. GET /api/webhooks lists them." });
}

function invalid(reason: string): Response {
  return errorResponse({ code: "invalid_request", reason });
}
