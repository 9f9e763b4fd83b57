import { Hono } from "hono";
import * as z from "zod/mini";
import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { isMachineName } from "#protocol/slug.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering, creating } from "../http/needs.ts";
import { note } from "../audit/note.ts";
import { notify } from "../audit/notice.ts";
import { isFresh } from "../http/caller.ts";
import { covers, mayAdminister, SCOPES, type Scope } from "../http/scope.ts";
import type { MadeToken, TokenLimits, TokenMaker, TokenRecord } from "../user/tokens.ts";
import { registryOf } from "../user/user-rpc.ts";

/** The largest budget that can be set. It is far beyond what one token can call in a day; more means no budget. */
const MAX_CALLS_PER_DAY = 100_000_000;

const CreateRequest = z.object({
  label: z.string().check(z.minLength(1), z.maxLength(64)),
  expiresMs: z.optional(z.int()),
  scopes: z.optional(z.array(z.enum(SCOPES)).check(z.minLength(1))),
  machines: z.optional(z.array(z.string()).check(z.minLength(1), z.maxLength(100))),
  /** Requests per day (UTC). */
  callsPerDay: z.optional(z.int().check(z.minimum(1), z.maximum(MAX_CALLS_PER_DAY))),
});

/** `/api/tokens`: personal access tokens. A token is shown once, in the answer that creates it; Operator keeps only a hash. */
export const tokens = new Hono<AppContext>();

tokens.get("/", administering, async (c) => {
  const records: TokenRecord[] = await registryOf(c.env, c.var.caller.user).tokens();
  return c.json({ tokens: records });
});

tokens.post("/", administering, creating, async (c) => {
  const { caller } = c.var;
  const request = CreateRequest.safeParse(await c.req.json().catch(() => null));
  if (!request.success)
    return invalid("Send { label, expiresMs?, scopes?, machines?, callsPerDay? }; a label has 1 to 64 characters.");
  const { label, machines = null, expiresMs = null, callsPerDay = null } = request.data;
  const isLimited = machines !== null || callsPerDay !== null;
  const scopes: readonly Scope[] =
    request.data.scopes ?? (isLimited ? ["mcp:tools"] : caller.scopes.filter((scope) => scope !== "operator:tokens"));
  if (expiresMs !== null && expiresMs <= Date.now()) return invalid("expiresMs is in the past.");
  if (machines?.some((name) => !isMachineName(name)) === true)
    return invalid("machines must be a list of machine names.");
  // A token that manages machines or makes tokens can rename one, so a limit to certain names would not limit it.
  if (machines !== null && (mayAdminister(scopes) || scopes.includes("operator:tokens")))
    return invalid("A token limited to machines cannot have operator:admin or operator:tokens.");
  // For the same reason: with the tokens that it makes it would have as many budgets as it likes.
  if (callsPerDay !== null && mayAdminister(scopes))
    return invalid("A token with callsPerDay cannot have operator:admin, since it could make tokens without a limit.");
  // Somebody who is there may let a token make others. A token passes that on only if it may do it itself.
  const own: readonly Scope[] = isFresh(caller) ? [...caller.scopes, "operator:tokens"] : caller.scopes;
  if (!covers(own, scopes))
    return errorResponse({
      code: "forbidden",
      reason: "A token cannot have more scopes or machines than the token that creates it.",
    });
  const limits: TokenLimits = { scopes, machines, expiresMs, callsPerDay };
  const maker: TokenMaker = { credential: caller.credential ?? null };
  const created: MadeToken | OperatorError = await registryOf(c.env, caller.user).createToken(label, limits, maker);
  if ("code" in created) return errorResponse(created);
  note(c.env, caller.user, { kind: "token_created", client: caller.client, subject: label });
  notify(c.env, caller.user, { type: "notice.token_created", what: label, by: caller.client });
  return c.json({ ...created.record, token: created.token }, 201);
});

tokens.delete("/:id", administering, async (c) => {
  const { caller } = c.var;
  const label: string | null = await registryOf(c.env, caller.user).revokeToken(c.req.param("id"));
  if (label === null) return errorResponse({ code: "token_unknown" });
  note(c.env, caller.user, { kind: "token_revoked", client: caller.client, subject: label });
  return c.body(null, 204);
});

function invalid(reason: string): Response {
  return errorResponse({ code: "invalid_request", reason });
}
