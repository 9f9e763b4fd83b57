/** Spent tokens remembered per grant, 64 characters each. A client that refreshes every hour needs three weeks to exceed it. */
const KEPT_PER_GRANT = 500;

/** The table of one user's refresh tokens that were already used. Only their hashes are stored. */
export class SpentTokens {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS spent_refresh_token (
      number INTEGER PRIMARY KEY, hash TEXT NOT NULL UNIQUE, grant_id TEXT NOT NULL)`);
    sql.exec("CREATE INDEX IF NOT EXISTS spent_refresh_token_grant ON spent_refresh_token (grant_id, number)");
  }

  add(hash: string, grant: string): void {
    this.#sql.exec("INSERT OR IGNORE INTO spent_refresh_token (hash, grant_id) VALUES (?, ?)", hash, grant);
    this.#sql.exec(
      `DELETE FROM spent_refresh_token WHERE grant_id = ?1 AND number <= (
         SELECT number FROM spent_refresh_token WHERE grant_id = ?1 ORDER BY number DESC LIMIT 1 OFFSET ${KEPT_PER_GRANT})`,
      grant,
    );
  }

  has(hash: string): boolean {
    return this.#sql.exec("SELECT 1 FROM spent_refresh_token WHERE hash = ?", hash).toArray().length > 0;
  }

  /** Deletes the spent tokens of a grant that has ended. */
  forget(grant: string): void {
    this.#sql.exec("DELETE FROM spent_refresh_token WHERE grant_id = ?", grant);
  }
}
