/**
 * Whether a user was removed. This is stored beside the user's tokens and machines, so that checking it needs no further request.
 * A removed user's remaining credentials are refused, and an operation that was running during the removal cannot create new ones.
 */
export class Closure {
  readonly #sql: SqlStorage;
  #isClosed: boolean;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS closure (at_ms INTEGER NOT NULL)");
    this.#isClosed = sql.exec("SELECT 1 FROM closure LIMIT 1").toArray().length > 0;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  close(nowMs: number): void {
    if (!this.#isClosed) this.#sql.exec("INSERT INTO closure VALUES (?)", nowMs);
    this.#isClosed = true;
  }
}
