import { Hono } from "hono";
import * as z from "zod/mini";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { parseJson } from "#protocol/json.ts";
import { type Rollout, RolloutMode, StartRollout } from "#protocol/rollout.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering } from "../http/needs.ts";
import { note } from "../audit/note.ts";
import type { Caller } from "../http/caller.ts";
import type { Env } from "../env.ts";
import { registryOf } from "../user/user-rpc.ts";

const ModeRequest = z.object({ mode: RolloutMode });

/** `/api/rollout`: brings machines to this Operator's template, for `operator rollout`. */
export const rollout = new Hono<AppContext>();

rollout.get("/", administering, async (c) => c.json(await registryOf(c.env, c.var.caller.user).rollout()));

rollout.post("/", administering, async (c) => {
  const asked = StartRollout.safeParse(parseJson((await c.req.text()) || "{}"));
  if (!asked.success) return errorResponse({ code: "invalid_request", reason: z.prettifyError(asked.error) });
  const started: Rollout | OperatorError = await registryOf(c.env, c.var.caller.user).startRollout(
    asked.data,
    c.var.caller.credential ?? null,
  );
  return answer(started, c.var.caller, c.env, "started");
});

rollout.post("/:change{pause|resume|back}", administering, async (c) => {
  const change = c.req.param("change") as "pause" | "resume" | "back"; // the pattern admits no other
  const changed: Rollout | OperatorError = await registryOf(c.env, c.var.caller.user).changeRollout(
    change,
    c.var.caller.credential ?? null,
  );
  return answer(changed, c.var.caller, c.env, change);
});

rollout.put("/mode", administering, async (c) => {
  const asked = ModeRequest.safeParse(await c.req.json().catch(() => null));
  if (!asked.success)
    return errorResponse({ code: "invalid_request", reason: 'Send { mode }: "automatic" or "manual".' });
  const { user, client, credential = null } = c.var.caller;
  const error: OperatorError | null = await registryOf(c.env, user).setRolloutMode(asked.data.mode, credential);
  if (error !== null) return errorResponse(error);
  note(c.env, user, { kind: "machine_changed", client, machine: null, subject: `rollouts are ${asked.data.mode}` });
  return c.json(asked.data);
});

function answer(done: Rollout | OperatorError, { user, client }: Caller, env: Env, subject: string): Response {
  if ("code" in done) return errorResponse(done);
  note(env, user, { kind: "machine_changed", client, machine: null, subject: `rollout ${subject}` });
  return Response.json(done);
}
