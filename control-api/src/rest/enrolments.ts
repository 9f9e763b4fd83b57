import { Hono } from "hono";
import * as z from "zod/mini";
import { machineUrls } from "#protocol/address.ts";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { parseJson } from "#protocol/json.ts";
import { LinkKey } from "#protocol/link-key.ts";
import type { Registration } from "#protocol/rest-api.ts";
import type { Rate } from "#protocol/token-bucket.ts";
import { note } from "../audit/note.ts";
import { userOfKey } from "../enrolment/enrolment-key.ts";
import type { Enrolled } from "../enrolment/enrolment.ts";
import type { Env } from "../env.ts";
import { TokenBuckets } from "../http/token-buckets.ts";
import { addressOf, rateAt } from "../sign-in/address.ts";
import { isExistingUser } from "../sign-in/existing-user.ts";
import { registryOf } from "../user/user-rpc.ts";

/** Requests from one address. A data centre's runners share one, and each enrols and leaves once. A wrong key costs a look-up. */
const REQUESTS: Rate = { perSecond: 2, burst: 120 };

/** Addresses that are remembered. With 100 bytes each they need half a megabyte. */
const REMEMBERED = 5_000;

const buckets = new TokenBuckets(REMEMBERED);

const EnrolRequest = z.object({
  identity: z.string().check(z.minLength(16), z.maxLength(128)),
  linkKey: z.optional(LinkKey),
});
const LeaveRequest = z.object({ identity: z.string().check(z.minLength(16), z.maxLength(128)) });

/**
 * `/api/enrolments`: for machines that have an enrolment key in place of a person. POST enrols one and answers as a registration does,
 * with its policy; DELETE says that it ends.
 */
export const enrolments = new Hono<{ Bindings: Env }>();

enrolments.post("/", async (c) => {
  const asked = await askedIn(c.req.raw, c.env, EnrolRequest);
  if (asked instanceof Response) return asked;
  const { user, key, request } = asked;
  const enrolled: Enrolled | OperatorError = await registryOf(c.env, user).enrol(key, request);
  if ("code" in enrolled) return errorResponse(enrolled);
  const { registered, tag, policy } = enrolled;
  const { name, slug } = registered.machine;
  note(c.env, user, { kind: "machine_added", client: `enrolment key for ${tag}`, machine: name, subject: null });
  const registration: Registration = {
    name,
    slug,
    ...machineUrls(slug, c.env.ORIGIN, c.env.DOMAIN),
    token: registered.token,
  };
  return c.json({ ...registration, policy: policy === null ? null : parseJson(policy) }, 201);
});

enrolments.delete("/", async (c) => {
  const asked = await askedIn(c.req.raw, c.env, LeaveRequest);
  if (asked instanceof Response) return asked;
  const { user, request } = asked;
  const left: boolean = await registryOf(c.env, user).leave(request.identity);
  if (!left) return errorResponse({ code: "not_found", reason: "No such machine was enrolled." });
  return c.body(null, 204);
});

/** What was asked, by whose key. Nothing of a person is looked up before the address's limit. */
async function askedIn<Schema extends z.ZodMiniType>(
  raw: Request,
  env: Env,
  schema: Schema,
): Promise<{ user: string; key: string; request: z.infer<Schema> } | Response> {
  const address = addressOf(raw, env);
  const nowMs = Date.now();
  const afterMs = buckets.of(address, rateAt(address, REQUESTS), nowMs).take(nowMs);
  if (afterMs > 0) return errorResponse({ code: "too_many_requests", of: "address", afterMs });
  const key = /^Bearer (\S{1,256})$/i.exec(raw.headers.get("authorization") ?? "")?.[1] ?? "";
  const user = userOfKey(key);
  if (user === null || !(await isExistingUser(user, env))) return errorResponse({ code: "unauthorized" });
  const request = schema.safeParse(await raw.json().catch(() => null));
  if (!request.success)
    return errorResponse({
      code: "invalid_request",
      reason: "Send { identity, linkKey? }, as codez up --ephemeral does.",
    });
  return { user, key, request: request.data };
}
