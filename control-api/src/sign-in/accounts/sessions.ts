import { randomSecret } from "#protocol/bytes.ts";
import { hashOf } from "../secret.ts";

/** A session ends when it was not used for this long: someone who returns within a month stays signed in. Milliseconds. */
export const SESSION_IDLE_MS = 30 * 24 * 60 * 60_000;

/** Shortest time between two updates of a session's last use; saves a write for most pages. Milliseconds. */
const SEEN_STEP_MS = 60 * 60_000;

type Row = { person: string; seen_ms: number };

/** The table of browser sessions. The cookie holds the secret; only its hash is stored. */
export class Sessions {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS session (
      hash TEXT PRIMARY KEY, person TEXT NOT NULL, created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL)`);
  }

  /** Starts a session. Answers its secret, which is not stored. */
  async begin(person: string, nowMs: number): Promise<string> {
    const secret = randomSecret();
    this.#sql.exec("DELETE FROM session WHERE seen_ms < ?", nowMs - SESSION_IDLE_MS);
    this.#sql.exec("INSERT INTO session VALUES (?, ?, ?, ?)", await hashOf(secret), person, nowMs, nowMs);
    return secret;
  }

  /** The id of the person whose session this is, or `null` if the session is unknown or expired. */
  async personOf(secret: string, nowMs: number): Promise<string | null> {
    const hash = await hashOf(secret);
    const [row] = this.#sql.exec<Row>("SELECT person, seen_ms FROM session WHERE hash = ?", hash).toArray();
    if (row === undefined || row.seen_ms < nowMs - SESSION_IDLE_MS) return null;
    if (row.seen_ms < nowMs - SEEN_STEP_MS)
      this.#sql.exec("UPDATE session SET seen_ms = ? WHERE hash = ?", nowMs, hash);
    return row.person;
  }

  async end(secret: string): Promise<void> {
    this.#sql.exec("DELETE FROM session WHERE hash = ?", await hashOf(secret));
  }

  /** Ends all sessions of a person except the one with the secret `except`. */
  async endAll(person: string, except: string | null): Promise<void> {
    this.#sql.exec(
      "DELETE FROM session WHERE person = ? AND hash IS NOT ?",
      person,
      except === null ? null : await hashOf(except),
    );
  }
}
