/**
 * Whether a user was removed. Kept where their tokens and machines are, so that to ask costs no further question: what a
 * removed user has left anywhere opens nothing, and what was under way when they were removed makes nothing new.
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

  /** @throws when the user was removed */
  check(): void {
    if (this.#isClosed) throw new Error("this user was removed");
  }
}
