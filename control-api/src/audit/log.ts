import { type AuditEntry, type AuditRecord, type AuditShelf, bounded, shelfOf } from "./entry.ts";
import type { AuditFilter } from "./filter.ts";

const DAY_MS = 24 * 60 * 60_000;

type Shelf = {
  readonly table: string;
  /** Entries older than this are deleted. Milliseconds. */
  readonly keepMs: number;
  readonly keepRows: number;
};

/** At about 200 bytes a row, all shelves together stay under 100 MB in a user's object. */
const SHELVES: Record<AuditShelf, Shelf> = {
  // Three months: long enough to investigate an incident, short enough not to become a profile of the user.
  call: { table: "audit", keepMs: 90 * DAY_MS, keepRows: 200_000 },
  permission: { table: "audit_permission", keepMs: 400 * DAY_MS, keepRows: 50_000 },
  // People ask who granted access to whom even a year later.
  account: { table: "audit_account", keepMs: 400 * DAY_MS, keepRows: 50_000 },
};

/** Old entries are deleted after this many milliseconds, or after this many new entries, whichever comes first. */
const TRIM_MS = 60 * 60_000;
const TRIM_ROWS = 10_000;

/** Entries in one page. */
export const AUDIT_PAGE_ROWS = 1_000;

export type AuditQuery = {
  /** Only entries older than this one. `null` starts with the newest. */
  readonly before: number | null;
  readonly limit: number;
  /** Only entries about these machines; `null` for the whole log. */
  readonly machines: readonly string[] | null;
  /** Only entries that fit all of this; absent or `null`: all. */
  readonly filter?: AuditFilter | null;
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

/** One user's audit log. Ids increase across all of its tables, so a reader pages through them as if they were one. */
export class AuditLog {
  readonly #sql: SqlStorage;
  #trimmedMs = 0;
  #added = 0;
  #lastId: number;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    for (const { table } of Object.values(SHELVES))
      sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (
        id INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, kind TEXT NOT NULL, client TEXT NOT NULL, machine TEXT,
        subject TEXT, digest TEXT, outcome TEXT NOT NULL, duration_ms INTEGER)`);
    this.#sortOut();
    const newest = Object.values(SHELVES).map(
      ({ table }) => sql.exec<{ id: number | null }>(`SELECT MAX(id) AS id FROM ${table}`).one().id ?? 0,
    );
    this.#lastId = Math.max(...newest);
  }

  /** Writes entries. If one cannot be written, only that one is lost, and the Worker's log says so. */
  add(entries: readonly AuditEntry[], nowMs: number): void {
    for (const entry of entries) {
      try {
        this.#insert(bounded(entry));
      } catch (reason) {
        console.error("an audit entry was lost", { kind: entry.kind, reason: String(reason) });
      }
    }
    this.#added += entries.length;
    if (nowMs - this.#trimmedMs < TRIM_MS && this.#added < TRIM_ROWS) return;
    this.#trimmedMs = nowMs;
    this.#added = 0;
    for (const { table, keepMs, keepRows } of Object.values(SHELVES)) {
      this.#sql.exec(`DELETE FROM ${table} WHERE at_ms < ?`, nowMs - keepMs);
      this.#sql.exec(
        `DELETE FROM ${table} WHERE id <= (SELECT id FROM ${table} ORDER BY id DESC LIMIT 1 OFFSET ?)`,
        keepRows,
      );
    }
  }

  /**
   * Newest first. There is no index for the filters on purpose. A filter that fits nothing reads a full shelf once, along its primary key,
   * which takes SQLite some 15 ms for 200,000 rows. An index would cost one more row written with every call.
   */
  read({ before, limit, machines, filter = null }: AuditQuery): AuditRecord[] {
    const rows = Math.min(Math.max(limit, 1), AUDIT_PAGE_ROWS);
    const names = machines === null ? null : JSON.stringify(machines);
    const { shelf = null, machine = null, client = null, failed = null, sinceMs = null, untilMs = null } = filter ?? {};
    return Object.entries(SHELVES)
      .filter(([name]) => shelf === null || name === shelf)
      .flatMap(([, { table }]) =>
        this.#sql
          .exec<Row>(
            `SELECT * FROM ${table} WHERE id < ?1 AND (?2 IS NULL OR machine IN (SELECT value FROM json_each(?2)))
             AND (?4 IS NULL OR machine = ?4) AND (?5 IS NULL OR client = ?5)
             AND (?6 IS NULL OR (outcome <> 'ok') = ?6) AND (?7 IS NULL OR at_ms >= ?7) AND (?8 IS NULL OR at_ms < ?8)
             ORDER BY id DESC LIMIT ?3`,
            before ?? Number.MAX_SAFE_INTEGER,
            names,
            rows,
            machine,
            client,
            failed === null ? null : Number(failed),
            sinceMs,
            untilMs,
          )
          .toArray(),
      )
      .sort((one, other) => other.id - one.id)
      .slice(0, rows)
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

  #insert({ atMs, kind, client, machine, subject, digest, outcome, durationMs }: AuditEntry): void {
    this.#lastId += 1;
    this.#sql.exec(
      `INSERT INTO ${SHELVES[shelfOf(kind)].table} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      this.#lastId,
      atMs,
      kind,
      client,
      machine,
      subject,
      digest,
      outcome,
      durationMs,
    );
  }

  /** Migration: release 0.1 kept all kinds in one table. Moves everything but calls into their own tables, once. */
  #sortOut(): void {
    const { table } = SHELVES.account;
    if (this.#sql.exec(`SELECT 1 FROM ${table} LIMIT 1`).toArray().length > 0) return;
    this.#sql.exec(`INSERT INTO ${table} SELECT * FROM audit WHERE kind NOT IN ('call', 'request')`);
    this.#sql.exec("DELETE FROM audit WHERE kind NOT IN ('call', 'request')");
  }
}
