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
 *
 * Where the comma is the decimal sign, a spreadsheet splits lines at `;`, and when it is told so at tabs. It then sees no quotation mark at the
 * start of a cell, so the marks around ours protect nothing: a cell begins behind each of these characters, and behind each line break.
 */
function cellOf(text: string): string {
  const safe = text.replaceAll(FORMULA, "$1'");
  return /[",;\t\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

/**
 * Where a cell could begin, and then a formula: `=`, `+`, `-` and `@`, also as full-width characters. What spreadsheets skip may be before it.
 * A cell that begins with a tab or a line break is treated alike, because some spreadsheets drop those.
 */
const FORMULA = /(^|[;\t\r\n])(?=[\s\0"']*[=+\-@\uFF1D\uFF0B\uFF0D\uFF20])|^(?=[\t\r\n])/g;
