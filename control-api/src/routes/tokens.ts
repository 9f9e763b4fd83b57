import { Hono } from "hono";
import * as z from "zod/mini";
import { errorResponse } from "#protocol/error.ts";
import type { AppContext } from "../app-context.ts";
import type { TokenRecord } from "../user/tokens.ts";
import { registryOf } from "./machines.ts";

const CreateRequest = z.object({
  label: z.string().check(z.minLength(1), z.maxLength(64)),
  expiresMs: z.optional(z.int()),
});

/** `/api/tokens`: personal access tokens. A token is in the answer that made it, and nowhere after. */
export const tokens = new Hono<AppContext>();

tokens.get("/", async (c) => {
  const records: TokenRecord[] = await registryOf(c.env, c.var.caller.user).tokens();
  return c.json({ tokens: records });
});

tokens.post("/", async (c) => {
  const request = CreateRequest.safeParse(await c.req.json().catch(() => null));
  if (!request.success)
    return errorResponse({
      code: "invalid_request",
      reason: "Send { label, expiresMs? }; a label has 1 to 64 characters.",
    });
  const created: { token: string; record: TokenRecord } = await registryOf(c.env, c.var.caller.user).createToken(
    request.data.label,
    request.data.expiresMs ?? null,
  );
  return c.json({ ...created.record, token: created.token }, 201);
});

tokens.delete("/:id", async (c) => {
  const revoked = await registryOf(c.env, c.var.caller.user).revokeToken(c.req.param("id"));
  return revoked
    ? c.body(null, 204)
    : c.json({ error: { code: "token_unknown", message: "There is no such token.", retryable: false } }, 404);
});
