import { latestEnd } from "../clock.ts";

/** A rate limit: at most `times` attempts per window. */
export type Limit = { readonly times: number; readonly windowMs: number };

/** The table of rate-limited attempts: passwords, codes, registrations. The counts are in SQLite so that they survive a restart. */
export class Limits {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS attempt (key TEXT PRIMARY KEY, count INTEGER NOT NULL, until_ms INTEGER NOT NULL)",
    );
    // Each attempt deletes the expired ones. Without the index that would read the whole table, which strangers can make long.
    sql.exec("CREATE INDEX IF NOT EXISTS attempt_until ON attempt (until_ms)");
  }

  /** Counts one attempt. Answers 0 if it is within the limit, otherwise the milliseconds until the next attempt is allowed. */
  take(key: string, { times, windowMs }: Limit, nowMs: number): number {
    this.#sql.exec("DELETE FROM attempt WHERE until_ms <= ?", nowMs);
    // Of a clock that was ahead and is right now: nobody must be locked out until the year that it showed.
    this.#sql.exec("DELETE FROM attempt WHERE key = ? AND until_ms > ?", key, latestEnd(windowMs, nowMs));
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

  /** Counts one attempt under several keys, up to the first whose limit is reached. Answers as `take`. */
  takeAll(counted: readonly (readonly [key: string, limit: Limit])[], nowMs: number): number {
    for (const [key, limit] of counted) {
      const afterMs = this.take(key, limit, nowMs);
      if (afterMs > 0) return afterMs;
    }
    return 0;
  }

  /** Uncounts one attempt that turned out to be correct, so that sign-ins of the person do not use up the limit against guessing. */
  giveBack(key: string): void {
    this.#sql.exec("UPDATE attempt SET count = count - 1 WHERE key = ?", key);
  }

  /** Forgets the failed attempts of someone who has now signed in. */
  clear(key: string): void {
    this.#sql.exec("DELETE FROM attempt WHERE key = ?", key);
  }
}
