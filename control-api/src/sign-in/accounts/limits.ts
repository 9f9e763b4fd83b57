/** So many times in so long a time; milliseconds. */
export type Limit = { readonly times: number; readonly windowMs: number };

/** Counts what may be tried only so often: passwords, codes, registrations. Kept in SQLite, so that a restart forgives nothing. */
export class Limits {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS attempt (key TEXT PRIMARY KEY, count INTEGER NOT NULL, until_ms INTEGER NOT NULL)",
    );
  }

  /** Counts one try. Answers 0 when it may go on, else the milliseconds until the next may. */
  take(key: string, { times, windowMs }: Limit, nowMs: number): number {
    this.#sql.exec("DELETE FROM attempt WHERE until_ms <= ?", nowMs);
    const [row] = this.#sql
      .exec<{ count: number; until_ms: number }>("SELECT count, until_ms FROM attempt WHERE key = ?", key)
      .toArray();
    if (row !== undefined && row.count >= times) return row.until_ms - nowMs;
    this.#sql.exec(
      "INSERT INTO attempt VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET count = count + 1",
      key,
      nowMs + windowMs,
    );
    return 0;
  }

  /** Takes one try back: it was no guess. */
  giveBack(key: string): void {
    this.#sql.exec("UPDATE attempt SET count = count - 1 WHERE key = ?", key);
  }

  /** Forgets the failed attempts of someone who has now signed in. */
  clear(key: string): void {
    this.#sql.exec("DELETE FROM attempt WHERE key = ?", key);
  }
}
