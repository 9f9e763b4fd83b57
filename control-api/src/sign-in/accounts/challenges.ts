import { hashOf } from "../secret.ts";

/** Time to find the phone that has the passkey; milliseconds. */
const CHALLENGE_MS = 5 * 60_000;

/** The table of challenges that browsers were given. Each is answered once. */
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

  /** What was kept with a challenge, this once; `null`: it is none of ours, used up, or too old. */
  async spend(challenge: string, purpose: "create" | "get", nowMs: number): Promise<string | null> {
    const [row] = this.#sql
      .exec<{ data: string }>(
        "DELETE FROM challenge WHERE hash = ? AND purpose = ? AND expires_ms > ? RETURNING data",
        await hashOf(challenge),
        purpose,
        nowMs,
      )
      .toArray();
    return row?.data ?? null;
  }
}
