import type { AuditRecord } from "./entry.ts";
import type { AuditFilter } from "./filter.ts";
import { AUDIT_PAGE_ROWS, type AuditQuery } from "./log.ts";

export const EXPORT_FORMATS = ["jsonl", "csv"] as const;
export type ExportFormat = (typeof EXPORT_FORMATS)[number];

const TYPES: Record<ExportFormat, string> = { jsonl: "application/jsonl", csv: "text/csv; charset=utf-8" };

const COLUMNS = ["id", "time", "kind", "client", "machine", "subject", "outcome", "durationMs", "digest"] as const;

type Exported = Pick<AuditQuery, "machines"> & { readonly filter: AuditFilter; readonly format: ExportFormat };

/**
 * A person's log as a file, newest first. A page is read from the object only when the client has taken the one before.
 *
 * @param read reads a page of that person's log
 */
export function exportAudit(
  read: (query: AuditQuery) => PromiseLike<AuditRecord[]> | AuditRecord[],
  { machines, filter, format }: Exported,
): Response {
  const encoder = new TextEncoder();
  let before: number | null = null;
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      if (format === "csv") controller.enqueue(encoder.encode(`${COLUMNS.join(",")}\r\n`));
    },
    async pull(controller) {
      const asked = { before, limit: AUDIT_PAGE_ROWS, machines, filter };
      const page: AuditRecord[] = await read(asked);
      const lines = page.map((entry) => (format === "csv" ? csvLine(entry) : `${JSON.stringify(entry)}\n`));
      if (lines.length > 0) controller.enqueue(encoder.encode(lines.join("")));
      before = page.at(-1)?.id ?? null;
      if (page.length < AUDIT_PAGE_ROWS) controller.close();
    },
  });
  return new Response(body, {
    headers: {
      "content-type": TYPES[format],
      "content-disposition": `attachment; filename="operator-audit.${format}"`,
      "cache-control": "no-store",
      "x-content-type-options": "nosniff",
    },
  });
}

/** One entry as RFC 4180 has it. */
function csvLine({ id, atMs, kind, client, machine, subject, outcome, durationMs, digest }: AuditRecord): string {
  const cells = [String(id), new Date(atMs).toISOString(), kind, client, machine, subject, outcome, durationMs, digest];
  return `${cells.map((cell) => (cell === null ? "" : cellOf(String(cell)))).join(",")}\r\n`;
}

/**
 * A cell's text. Clients choose their names, and a spreadsheet runs what begins like a formula; with an apostrophe in front it is text
 * (OWASP, "CSV Injection").
 */
function cellOf(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
