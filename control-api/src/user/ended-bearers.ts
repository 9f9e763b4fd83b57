import type { Bearer } from "../http/caller.ts";

/**
 * How long a grant or browser is remembered that has ended: far longer than a request runs that was let in before. Whatever lasts longer was
 * ended with the grant. Milliseconds.
 */
const REMEMBERED_MS = 24 * 60 * 60_000;

/** The grants and signed-in browsers of one user that have ended, so that a request of theirs that is still under way leaves nothing behind. */
export class EndedBearers {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS ended_grant (credential TEXT PRIMARY KEY, ended_ms INTEGER NOT NULL)");
  }

  add(bearer: Bearer, nowMs: number): void {
    this.#sql.exec("DELETE FROM ended_grant WHERE ended_ms < ?", nowMs - REMEMBERED_MS);
    this.#sql.exec("INSERT OR REPLACE INTO ended_grant VALUES (?, ?)", bearer, nowMs);
  }

  has(bearer: Bearer): boolean {
    return this.#sql.exec("SELECT 1 FROM ended_grant WHERE credential = ?", bearer).toArray().length > 0;
  }
}
