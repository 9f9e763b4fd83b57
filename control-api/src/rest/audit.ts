import { Hono } from "hono";
import { errorResponse } from "#protocol/error.ts";
import type { AppContext } from "../http/app-context.ts";
import { administering } from "../http/needs.ts";
import type { AuditRecord } from "../audit/entry.ts";
import { EXPORT_FORMATS, exportAudit } from "../audit/export.ts";
import { filterIn } from "../audit/filter.ts";
import { writeNotes } from "../audit/note.ts";
import { registryOf } from "../user/user-rpc.ts";

/** Entries in an answer without `limit`: a screen or two. */
const DEFAULT_ROWS = 100;

/**
 * `GET /api/audit`: the caller's own audit log, newest first: `?limit=` entries before `?before=<id>`. Each isolate writes its entries of the
 * last moment together (audit/note.ts), so a call may be missing for a second after its end. With `?format=jsonl` or `csv` the
 * whole log as a file. `kind`, `machine`, `client`, `outcome`, `since` and `until` leave out entries (audit/filter.ts).
 */
export const audit = new Hono<AppContext>();

audit.get("/", administering, async (c) => {
  const { user, machines } = c.var.caller;
  const filter = filterIn(c.req.query());
  if ("problem" in filter) return errorResponse({ code: "invalid_request", reason: filter.problem });
  await writeNotes(c.env, user);
  const asked = c.req.query("format");
  const format = EXPORT_FORMATS.find((one) => one === asked);
  if (format !== undefined)
    return exportAudit((query) => registryOf(c.env, user).auditPage(query), { machines, filter, format });
  if (asked !== undefined && asked !== "json")
    return errorResponse({ code: "invalid_request", reason: "format must be json, jsonl or csv." });
  const before = numberIn(c.req.query("before"));
  const limit = numberIn(c.req.query("limit")) ?? DEFAULT_ROWS;
  if (Number.isNaN(before) || Number.isNaN(limit))
    return errorResponse({ code: "invalid_request", reason: "before and limit must be whole numbers of at least 1." });
  const entries: AuditRecord[] = await registryOf(c.env, user).auditPage({ before, limit, machines, filter });
  return c.json({ entries });
});

function numberIn(text: string | undefined): number | null {
  if (text === undefined) return null;
  return /^[1-9]\d{0,14}$/.test(text) ? Number(text) : Number.NaN;
}
