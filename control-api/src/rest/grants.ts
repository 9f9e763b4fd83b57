import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering } from "../http/needs.ts";
import { note } from "../audit/note.ts";
import { grantsOf, revokeGrant } from "../sign-in/grants.ts";

/** `/api/grants`: lists the apps that a person has authorised, and revokes them. */
export const grants = new Hono<AppContext>();

grants.get("/", administering, async (c) => c.json({ grants: await grantsOf(c.var.caller.user, c.env) }));

grants.delete("/:id", administering, async (c) => {
  const { user, client } = c.var.caller;
  const subject = await revokeGrant(c.req.param("id"), user, c.env);
  if (subject === null) return errorResponse({ code: "grant_unknown" });
  note(c.env, user, { kind: "grant_revoked", client, subject });
  return c.body(null, 204);
});
