import type { AuditEntry, AuditRecord } from "./entry.ts";

/** A season: long enough to find out who did it, short enough not to be a file on its user. Milliseconds. */
const KEEP_MS = 90 * 24 * 60 * 60_000;
/** At some 200 bytes each, 40 MB. */
const KEEP_ROWS = 200_000;
/** Old entries are looked for so often; milliseconds. */
const TRIM_MS = 60 * 60_000;

/** Entries of one answer; a reader asks again for more. */
export const AUDIT_PAGE_ROWS = 1_000;

export type AuditQuery = {
  /** Only entries before this one: newest first, page by page. `null` begins at the end. */
  readonly before: number | null;
  readonly limit: number;
};

type Row = {
  id: number;
  at_ms: number;
  kind: AuditEntry["kind"];
  client: string;
  machine: string | null;
  subject: string | null;
  digest: string | null;
  outcome: string;
  duration_ms: number | null;
};

/** The table of one user's audit log. */
export class AuditLog {
  readonly #sql: SqlStorage;
  #trimmedMs = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS audit (
      id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, machine TEXT,
      subject TEXT, digest TEXT, outcome TEXT NOT NULL, duration_ms INTEGER)`);
  }

  add(entries: readonly AuditEntry[], nowMs: number): void {
    for (const { atMs, kind, client, machine, subject, digest, outcome, durationMs } of entries)
      this.#sql.exec(
        `INSERT INTO audit (at_ms, kind, client, machine, subject, digest, outcome, duration_ms)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
        atMs,
        kind,
        client,
        machine,
        subject,
        digest,
        outcome,
        durationMs,
      );
    if (nowMs - this.#trimmedMs < TRIM_MS) return;
    this.#trimmedMs = nowMs;
    this.#sql.exec("DELETE FROM audit WHERE at_ms < ?", nowMs - KEEP_MS);
    this.#sql.exec("DELETE FROM audit WHERE id <= (SELECT MAX(id) FROM audit) - ?", KEEP_ROWS);
  }

  /** Newest first. */
  read({ before, limit }: AuditQuery): AuditRecord[] {
    return this.#sql
      .exec<Row>(
        "SELECT * FROM audit WHERE id < ? ORDER BY id DESC LIMIT ?",
        before ?? Number.MAX_SAFE_INTEGER,
        Math.min(Math.max(limit, 1), AUDIT_PAGE_ROWS),
      )
      .toArray()
      .map((row) => ({
        id: row.id,
        atMs: row.at_ms,
        kind: row.kind,
        client: row.client,
        machine: row.machine,
        subject: row.subject,
        digest: row.digest,
        outcome: row.outcome,
        durationMs: row.duration_ms,
      }));
  }
}
