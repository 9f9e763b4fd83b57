import { latestEnd } from "../clock.ts";

/** A rate limit: at most `times` attempts per window. */
export type Limit = { readonly times: number; readonly windowMs: number };

/** A limit and the key under which attempts are counted for it. */
export type Counted = readonly [key: string, limit: Limit];

/**
 * Counts that are kept: 40 MB. One network may cause 400 attempts to sign in within 15 minutes (sign-in/address.ts), so it takes hundreds of
 * networks to have more, and then those that end first are dropped. The counts of a day, which protect passwords, go last.
 */
const MAX_COUNTS = 200_000;

/** Too many are looked for after every so many attempts, because finding them reads the index. */
const TRIM_EVERY = 1_000;

/** The table of rate-limited attempts: passwords, codes, registrations. The counts are in SQLite so that they survive a restart. */
export class Limits {
  readonly #sql: SqlStorage;
  readonly #maxCounts: number;
  readonly #trimEvery: number;
  #sinceTrim = 0;

  constructor(sql: SqlStorage, maxCounts = MAX_COUNTS, trimEvery = TRIM_EVERY) {
    this.#sql = sql;
    this.#maxCounts = maxCounts;
    this.#trimEvery = trimEvery;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS attempt (key TEXT PRIMARY KEY, count INTEGER NOT NULL, until_ms INTEGER NOT NULL)",
    );
    // Each attempt deletes the expired ones. Without the index that would read the whole table, which strangers can make long.
    sql.exec("CREATE INDEX IF NOT EXISTS attempt_until ON attempt (until_ms)");
  }

  /** Counts one attempt. Answers 0 if it is within the limit, otherwise the milliseconds until the next attempt is allowed. */
  take(key: string, limit: Limit, nowMs: number): number {
    return this.takeAll([[key, limit]], nowMs);
  }

  /**
   * Counts one attempt under several keys, or under none of them if the limit of one is reached: an attempt that is refused leaves nothing
   * behind. Answers as `take`.
   */
  takeAll(counted: readonly Counted[], nowMs: number): number {
    this.#sql.exec("DELETE FROM attempt WHERE until_ms <= ?", nowMs);
    for (const [key, limit] of counted) {
      const afterMs = this.#waitOf(key, limit, nowMs);
      if (afterMs > 0) return afterMs;
    }
    for (const [key, { windowMs }] of counted)
      this.#sql.exec(
        "INSERT INTO attempt VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET count = count + 1",
        key,
        nowMs + windowMs,
      );
    this.#sinceTrim += 1;
    if (this.#sinceTrim >= this.#trimEvery) this.#trim();
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

  /** 0 if the limit is not reached, otherwise the milliseconds until it is not any more. */
  #waitOf(key: string, { times, windowMs }: Limit, nowMs: number): number {
    // Of a clock that was ahead and is right now: nobody must be locked out until the year that it showed.
    this.#sql.exec("DELETE FROM attempt WHERE key = ? AND until_ms > ?", key, latestEnd(windowMs, nowMs));
    const [row] = this.#sql
      .exec<{ count: number; until_ms: number }>("SELECT count, until_ms FROM attempt WHERE key = ?", key)
      .toArray();
    return row !== undefined && row.count >= times ? row.until_ms - nowMs : 0;
  }

  #trim(): void {
    this.#sinceTrim = 0;
    this.#sql.exec(
      "DELETE FROM attempt WHERE rowid IN (SELECT rowid FROM attempt ORDER BY until_ms DESC LIMIT -1 OFFSET ?)",
      this.#maxCounts,
    );
  }
}
