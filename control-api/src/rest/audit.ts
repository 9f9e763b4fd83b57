import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering } from "../http/needs.ts";
import type { AuditRecord } from "../audit/entry.ts";
import { AUDIT_PAGE_ROWS } from "../audit/log.ts";
import { writeNotes } from "../audit/note.ts";
import type { Env } from "../env.ts";
import { registryOf } from "../user/user-rpc.ts";

/** Entries in an answer without `limit`: a screen or two. */
const DEFAULT_ROWS = 100;

/**
 * `GET /api/audit`: the caller's own audit log, newest first: `?limit=` entries before `?before=<id>`. With `?format=jsonl` the
 * whole log, one entry per line.
 */
export const audit = new Hono<AppContext>();

audit.get("/", administering, async (c) => {
  const { user, machines } = c.var.caller;
  await writeNotes(c.env, user);
  if (c.req.query("format") === "jsonl")
    return c.body(everything(c.env, user, machines), 200, {
      "content-type": "application/jsonl",
      "cache-control": "no-store",
    });
  const before = numberIn(c.req.query("before"));
  const limit = numberIn(c.req.query("limit")) ?? DEFAULT_ROWS;
  if (Number.isNaN(before) || Number.isNaN(limit))
    return errorResponse({ code: "invalid_request", reason: "before and limit must be whole numbers of at least 1." });
  const entries: AuditRecord[] = await registryOf(c.env, user).auditPage({ before, limit, machines });
  return c.json({ entries });
});

/** The whole log as a stream. A page is read from the object only when the client has taken the one before. */
function everything(env: Env, user: string, machines: readonly string[] | null): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  let before: number | null = null;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const page: AuditRecord[] = await registryOf(env, user).auditPage({ before, limit: AUDIT_PAGE_ROWS, machines });
      for (const entry of page) controller.enqueue(encoder.encode(`${JSON.stringify(entry)}\n`));
      before = page.at(-1)?.id ?? null;
      if (page.length < AUDIT_PAGE_ROWS) controller.close();
    },
  });
}

function numberIn(text: string | undefined): number | null {
  if (text === undefined) return null;
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : Number.NaN;
}
