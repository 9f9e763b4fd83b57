import { latestEnd } from "../clock.ts";
import { hashOf } from "../secret.ts";

/** Lifetime of a challenge: long enough to fetch the phone that has the passkey. Milliseconds. */
const CHALLENGE_MS = 5 * 60_000;

/** The table of WebAuthn challenges. Each can be used once, so a recorded response cannot be replayed (WebAuthn section 13.4.3). */
export class Challenges {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS challenge (
      hash TEXT PRIMARY KEY, purpose TEXT NOT NULL, data TEXT NOT NULL, expires_ms INTEGER NOT NULL)`);
  }

  async put(challenge: string, purpose: "create" | "get", data: string, nowMs: number): Promise<void> {
    this.#sql.exec("DELETE FROM challenge WHERE expires_ms <= ?", nowMs);
    const hash = await hashOf(challenge);
    this.#sql.exec("INSERT INTO challenge VALUES (?, ?, ?, ?)", hash, purpose, data, nowMs + CHALLENGE_MS);
  }

  /** Uses up a challenge and answers what was stored with it, or `null` if it is unknown, already used or expired. */
  async spend(challenge: string, purpose: "create" | "get", nowMs: number): Promise<string | null> {
    const [row] = this.#sql
      .exec<{ data: string }>(
        "DELETE FROM challenge WHERE hash = ? AND purpose = ? AND expires_ms > ? AND expires_ms <= ? RETURNING data",
        await hashOf(challenge),
        purpose,
        nowMs,
        latestEnd(CHALLENGE_MS, nowMs),
      )
      .toArray();
    return row?.data ?? null;
  }
}
