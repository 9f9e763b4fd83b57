import { randomSecret } from "#protocol/bytes.ts";
import { columnsOf } from "../../columns.ts";
import { CLOCK_SKEW_MS, validUntil } from "../clock.ts";
import { hashOf } from "../secret.ts";

/** A session ends when it was not used for this long: someone who returns within a month stays signed in. Milliseconds. */
export const SESSION_IDLE_MS = 30 * 24 * 60 * 60_000;

/** Signed-in browsers of one person: more than anybody uses in a month. With another one, the one that was not used for longest is signed out. */
export const MAX_SESSIONS = 100;

/** Shortest time between two updates of a session's last use; saves a write for most pages. Milliseconds. */
const SEEN_STEP_MS = 60 * 60_000;

/** Characters of a session's hash that name it in lists. They are 64 bits, so no two sessions of a person have the same. */
const ID_CHARACTERS = 16;

/** Where a request to a page comes from: the client's address, and the name of its browser. */
export type Visit = { readonly address: string; readonly browser: string };

/** A session as its person sees it in the list of browsers. Times are in milliseconds since 1970, `seenMs` to the hour. */
export type SessionRecord = Visit & { readonly id: string; readonly createdMs: number; readonly seenMs: number };

/** Whose session it is, and when this person last showed a password or passkey in it. */
export type FoundSession = { readonly person: string; readonly id: string; readonly provedMs: number };

type Row = { hash: string; person: string; created_ms: number; seen_ms: number; proved_ms: number } & Visit;

/** The table of browser sessions. The cookie holds the secret; only its hash is stored. */
export class Sessions {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS session (
      hash TEXT PRIMARY KEY, person TEXT NOT NULL, created_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL,
      proved_ms INTEGER NOT NULL DEFAULT 0, address TEXT NOT NULL DEFAULT '', browser TEXT NOT NULL DEFAULT '')`);
    // A database of version 0.2. Its sessions go on, and have to prove themselves again before a dangerous change.
    if (columnsOf(sql, "session").has("proved_ms")) return;
    sql.exec("ALTER TABLE session ADD COLUMN proved_ms INTEGER NOT NULL DEFAULT 0");
    sql.exec("ALTER TABLE session ADD COLUMN address TEXT NOT NULL DEFAULT ''");
    sql.exec("ALTER TABLE session ADD COLUMN browser TEXT NOT NULL DEFAULT ''");
  }

  /** Starts a session. Answers its secret, which is not stored. */
  async begin(person: string, { address, browser }: Visit, nowMs: number): Promise<string> {
    const secret = randomSecret();
    this.#sql.exec("DELETE FROM session WHERE seen_ms < ?", nowMs - SESSION_IDLE_MS);
    const hash = await hashOf(secret);
    this.#sql.exec(
      "INSERT INTO session (hash, person, created_ms, seen_ms, proved_ms, address, browser) VALUES (?, ?, ?, ?, ?, ?, ?)",
      hash,
      person,
      nowMs,
      nowMs,
      nowMs,
      address,
      browser,
    );
    this.#sql.exec(
      `DELETE FROM session WHERE person = ?1 AND hash <> ?2 AND hash NOT IN
       (SELECT hash FROM session WHERE person = ?1 AND hash <> ?2 ORDER BY seen_ms DESC LIMIT ?3)`,
      person,
      hash,
      MAX_SESSIONS - 1,
    );
    return secret;
  }

  /** The session with this secret, or `null` if it is unknown or expired. */
  async find(secret: string, { address, browser }: Visit, nowMs: number): Promise<FoundSession | null> {
    const hash = await hashOf(secret);
    const [row] = this.#sql.exec<Row>("SELECT * FROM session WHERE hash = ?", hash).toArray();
    if (row === undefined || nowMs >= validUntil(row.seen_ms, SESSION_IDLE_MS, nowMs)) return null;
    if (row.seen_ms < nowMs - SEEN_STEP_MS || row.address !== address)
      this.#sql.exec(
        "UPDATE session SET seen_ms = ?, address = ?, browser = ? WHERE hash = ?",
        nowMs,
        address,
        browser,
        hash,
      );
    return { person: row.person, id: idOf(hash), provedMs: row.proved_ms };
  }

  /** The person of this session has just shown a password or passkey again. */
  prove(person: string, id: string, nowMs: number): void {
    const named = "UPDATE session SET proved_ms = ? WHERE person = ? AND substr(hash, 1, ?) = ?";
    this.#sql.exec(named, nowMs, person, ID_CHARACTERS, id);
  }

  /** A person's sessions, the last used first. */
  list(person: string, nowMs: number): SessionRecord[] {
    return this.#sql
      .exec<Row>(
        "SELECT * FROM session WHERE person = ? AND seen_ms >= ? AND seen_ms <= ? ORDER BY seen_ms DESC, created_ms DESC",
        person,
        nowMs - SESSION_IDLE_MS,
        nowMs + CLOCK_SKEW_MS,
      )
      .toArray()
      .map(({ hash, address, browser, created_ms: createdMs, seen_ms: seenMs }) => ({
        id: idOf(hash),
        address,
        browser,
        createdMs,
        seenMs,
      }));
  }

  /** Whether the session with this id is still there. Without an `await`, for whoever writes something in the same moment. */
  isOpen(person: string, id: string): boolean {
    const named = "SELECT 1 FROM session WHERE person = ? AND substr(hash, 1, ?) = ?";
    return this.#sql.exec(named, person, ID_CHARACTERS, id).toArray().length > 0;
  }

  /** Answers whose session it was, and its id; `null` if there was none. */
  async end(secret: string): Promise<{ person: string; id: string } | null> {
    const [row] = this.#sql
      .exec<Pick<Row, "hash" | "person">>(
        "DELETE FROM session WHERE hash = ? RETURNING hash, person",
        await hashOf(secret),
      )
      .toArray();
    return row === undefined ? null : { person: row.person, id: idOf(row.hash) };
  }

  /** Ends the session with this id. Answers `false` if the person has no such session. */
  endOne(person: string, id: string): boolean {
    const named = "DELETE FROM session WHERE person = ? AND substr(hash, 1, ?) = ?";
    return this.#sql.exec(named, person, ID_CHARACTERS, id).rowsWritten > 0;
  }

  /** Ends all sessions of a person except the one with the id `except`. Answers their ids. */
  endAll(person: string, except: string | null): string[] {
    const others = "DELETE FROM session WHERE person = ? AND substr(hash, 1, ?) IS NOT ? RETURNING hash";
    return this.#sql
      .exec<Pick<Row, "hash">>(others, person, ID_CHARACTERS, except)
      .toArray()
      .map(({ hash }) => idOf(hash));
  }
}

function idOf(hash: string): string {
  return hash.slice(0, ID_CHARACTERS);
}
