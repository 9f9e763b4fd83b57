import { Hono } from "hono";
import type { AuditRecord } from "../audit/entry.ts";
import { EXPORT_FORMATS, exportAudit } from "../audit/export.ts";
import { type AuditFilter, filterIn } from "../audit/filter.ts";
import { writeNotes } from "../audit/note.ts";
import { personPage } from "../sign-in/person-page.ts";
import type { PageApp } from "../sign-in/page-context.ts";
import { registryOf } from "../user/user-rpc.ts";
import { AuditPage, PAGE_ENTRIES } from "./audit-page.tsx";

/** `/audit`: a person's own audit log, with filters, and as a file. Nobody sees that of another person, the owner neither. */
export const audit = new Hono<PageApp>();

const EVERYTHING: AuditFilter = {
  shelf: null,
  machine: null,
  client: null,
  failed: null,
  sinceMs: null,
  untilMs: null,
};

audit.get("/", async (c) => {
  const user = c.var.session.person.id;
  const query = c.req.query();
  const read = filterIn(query);
  const problem = "problem" in read ? read.problem : null;
  const filter = "problem" in read ? EVERYTHING : read;
  await writeNotes(c.env, user);
  const format = EXPORT_FORMATS.find((one) => one === query["format"]);
  if (format !== undefined && problem === null)
    return exportAudit((asked) => registryOf(c.env, user).auditPage(asked), { machines: null, filter, format });
  const before = /^[1-9]\d{0,14}$/.test(query["before"] ?? "") ? Number(query["before"]) : null;
  const registry = registryOf(c.env, user);
  const [entries, machines] = await Promise.all([
    registry.auditPage({ before, limit: PAGE_ENTRIES, machines: null, filter }) as Promise<AuditRecord[]>,
    registry.machineNames() as Promise<string[]>,
  ]);
  return personPage(
    c,
    { title: "Audit log", at: "account", status: problem === null ? 200 : 400 },
    <AuditPage entries={entries} machines={machines} query={query} isFirst={before === null} problem={problem} />,
  );
});
