import type { Notice, NoticeRecord } from "../audit/notice.ts";

/** Notices kept per person: years of ordinary use. */
const MAX_ROWS = 500;

/** Characters of a name in a notice. Callers choose most of them, and no real one is longer. */
const MAX_CHARACTERS = 128;

type Row = { id: number; at_ms: number; type: Notice["type"]; what: string; by_whom: string };

/** The table of one person's notices. */
export class Notices {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS notice (
      id INTEGER PRIMARY KEY AUTOINCREMENT, at_ms INTEGER NOT NULL, type TEXT NOT NULL, what TEXT NOT NULL, by_whom TEXT NOT NULL)`);
  }

  add({ type, what, by }: Notice, nowMs: number): NoticeRecord {
    const notice = { type, what: cut(what), by: cut(by) };
    // A pipeline deploys a server every day. It must not push out what else happened, so the former notice of the same change goes.
    if (type === "notice.server_changed")
      this.#sql.exec("DELETE FROM notice WHERE type = ? AND what = ? AND by_whom = ?", type, notice.what, notice.by);
    const { id } = this.#sql
      .exec<{ id: number }>(
        "INSERT INTO notice (at_ms, type, what, by_whom) VALUES (?, ?, ?, ?) RETURNING id",
        nowMs,
        type,
        notice.what,
        notice.by,
      )
      .one();
    this.#sql.exec("DELETE FROM notice WHERE id <= ?", id - MAX_ROWS);
    return { id, atMs: nowMs, ...notice };
  }

  /** The newest ones, newest first. */
  newest(limit: number): NoticeRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM notice ORDER BY id DESC LIMIT ?", limit)
      .toArray()
      .map(({ id, at_ms: atMs, type, what, by_whom: by }) => ({ id, atMs, type, what, by }));
  }
}

/** Without what could make one name look like another: control characters and bidirectional overrides. */
function cut(text: string): string {
  return text.slice(0, MAX_CHARACTERS).toWellFormed().replaceAll(/\p{C}/gu, "");
}
