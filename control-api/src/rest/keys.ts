import { Hono } from "hono";
import * as z from "zod/mini";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { isMachineName } from "#protocol/slug.ts";
import { note } from "../audit/note.ts";
import { notify } from "../audit/notice.ts";
import type { ShownKey } from "../enrolment/enrolment.ts";
import type { KeyLimits } from "../enrolment/enrolment-keys.ts";
import {
  DEFAULT_LIFE_MS,
  MAX_LIFE_MS,
  MAX_MACHINES,
  MAX_POLICY_CHARACTERS,
  MAX_TAG_CHARACTERS,
} from "../enrolment/limits.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering, creating } from "../http/needs.ts";
import { registryOf } from "../user/user-rpc.ts";

const CreateRequest = z.object({
  tag: z.string().check(z.maxLength(MAX_TAG_CHARACTERS)),
  ephemeral: z.literal(true),
  reusable: z.optional(z.boolean()),
  expiresMs: z.optional(z.int()),
  maxMachines: z.optional(z.int().check(z.minimum(1), z.maximum(MAX_MACHINES))),
  policy: z.optional(z.record(z.string(), z.unknown())),
});

/** `/api/keys`: enrolment keys. A key is shown once, in the answer that creates it; Operator keeps only a hash. */
export const keys = new Hono<AppContext>();

keys.get("/", administering, async (c) => {
  const records: ShownKey[] = await registryOf(c.env, c.var.caller.user).enrolmentKeys();
  return c.json({ keys: records });
});

keys.post("/", administering, creating, async (c) => {
  const { caller } = c.var;
  const request = CreateRequest.safeParse(await c.req.json().catch(() => null));
  if (!request.success)
    return invalid(
      "Send { tag, ephemeral: true, reusable?, expiresMs?, maxMachines?, policy? }: see codez keys create.",
    );
  const { tag, reusable = false, maxMachines = MAX_MACHINES, policy = null } = request.data;
  const nowMs = Date.now();
  const { expiresMs = nowMs + DEFAULT_LIFE_MS } = request.data;
  if (!isMachineName(tag))
    return invalid(`"${tag}" cannot begin a machine's name: use a-z, 0-9 and single hyphens inside.`);
  if (expiresMs <= nowMs || expiresMs > nowMs + MAX_LIFE_MS) return invalid("A key expires within a year.");
  const json = policy === null ? null : JSON.stringify(policy);
  if (json !== null && json.length > MAX_POLICY_CHARACTERS) return invalid("The policy is too large for a serve.json.");
  const limits: KeyLimits = { tag, reusable, expiresMs, maxMachines, policy: json };
  const made: { key: string; record: ShownKey } | OperatorError = await registryOf(
    c.env,
    caller.user,
  ).createEnrolmentKey(limits, caller.credential ?? null);
  if ("code" in made) return errorResponse(made);
  note(c.env, caller.user, { kind: "token_created", client: caller.client, subject: `enrolment key for ${tag}` });
  notify(c.env, caller.user, { type: "notice.token_created", what: `enrolment key for ${tag}`, by: caller.client });
  // The key says where it is valid, so that a machine needs one setting only.
  return c.json({ ...made.record, key: `${made.key}@${c.env.ORIGIN}` }, 201);
});

keys.delete("/:id", administering, async (c) => {
  const { caller } = c.var;
  const andMachines = c.req.query("machines") === "true";
  const revoked: { tag: string; removed: string[] } | null = await registryOf(c.env, caller.user).revokeEnrolmentKey(
    c.req.param("id"),
    andMachines,
  );
  if (revoked === null) return errorResponse({ code: "not_found", reason: "There is no enrolment key with this id." });
  note(c.env, caller.user, {
    kind: "token_revoked",
    client: caller.client,
    subject: `enrolment key for ${revoked.tag}`,
  });
  return c.json({ removed: revoked.removed });
});

function invalid(reason: string): Response {
  return errorResponse({ code: "invalid_request", reason });
}
