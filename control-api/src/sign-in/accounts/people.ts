import { printable } from "#protocol/printable.ts";
import { columnsOf } from "../../columns.ts";

/** Someone who can sign in. `id` is the user id in the rest of Operator. */
export type Person = { readonly id: string; readonly name: string };

type Row = { id: string; name: string; password: string | null };

/**
 * The people.
 *
 *   person   who signs in here. Names are unique and compared without regard to case. Who is `locked` is being removed: they are still listed,
 *            in case that has to be repeated, and nothing else finds them
 *   guest    ids of users who sign in elsewhere (MCPAuthKit) and were let in
 */
export class People {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS person (
      id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE COLLATE NOCASE, password TEXT, created_ms INTEGER NOT NULL)`);
    sql.exec("CREATE TABLE IF NOT EXISTS guest (id TEXT PRIMARY KEY, met_ms INTEGER NOT NULL) WITHOUT ROWID");
    // A database of version 0.4.
    if (!columnsOf(sql, "person").has("locked"))
      sql.exec("ALTER TABLE person ADD COLUMN locked INTEGER NOT NULL DEFAULT 0");
  }

  get(id: string): Person | null {
    const row = this.#one("SELECT * FROM person WHERE id = ? AND locked = 0", id);
    return row === null ? null : { id: row.id, name: row.name };
  }

  list(): (Person & { createdMs: number })[] {
    return this.#sql
      .exec<{ id: string; name: string; created_ms: number }>(
        "SELECT id, name, created_ms FROM person ORDER BY created_ms",
      )
      .toArray()
      .map((row) => ({ id: row.id, name: row.name, createdMs: row.created_ms }));
  }

  named(name: string): { person: Person; password: string | null } | null {
    const row = this.#one("SELECT * FROM person WHERE name = ?", name);
    return row === null ? null : { person: { id: row.id, name: row.name }, password: row.password };
  }

  passwordOf(id: string): string | null {
    return this.#one("SELECT * FROM person WHERE id = ? AND locked = 0", id)?.password ?? null;
  }

  /** Adds a person, or gives a known one a new name and password. */
  put({ id, name }: Person, password: string | null, nowMs: number): void {
    this.#sql.exec(
      `INSERT INTO person (id, name, password, created_ms) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET name = excluded.name, password = excluded.password`,
      id,
      name,
      password,
      nowMs,
    );
  }

  addGuest(id: string, nowMs: number): void {
    this.#sql.exec("INSERT OR IGNORE INTO guest VALUES (?, ?)", id, nowMs);
  }

  isGuest(id: string): boolean {
    return this.#sql.exec("SELECT 1 FROM guest WHERE id = ?", id).toArray().length > 0;
  }

  setPassword(id: string, password: string | null): void {
    this.#sql.exec("UPDATE person SET password = ? WHERE id = ? AND locked = 0", password, id);
  }

  /** From now on nobody signs in as this person, or changes with what. */
  lock(id: string): void {
    this.#sql.exec("UPDATE person SET password = NULL, locked = 1 WHERE id = ?", id);
  }

  /** Answers the name of the deleted person, or `null` if there was none. */
  delete(id: string): string | null {
    this.#sql.exec("DELETE FROM guest WHERE id = ?", id);
    return this.#one("DELETE FROM person WHERE id = ? RETURNING *", id)?.name ?? null;
  }

  #one(query: string, value: string): Row | null {
    return this.#sql.exec<Row>(query, value).toArray()[0] ?? null;
  }
}

const NAME_MAX = 64;

/**
 * The name to store, or `null` if it is empty, too long or has invisible characters. NFKC makes different encodings of one name
 * equal, so that nobody can register a name that looks exactly like another person's.
 */
export function personName(text: string): string | null {
  const name = text.normalize("NFKC").trim();
  return name !== "" && name.length <= NAME_MAX && !/\p{C}/u.test(name) ? name : null;
}

/**
 * The name of somebody new. Nothing of it may be invisible, or it could look like another person's. Older names may have such
 * characters, and are still found.
 */
export function newPersonName(text: string): string | null {
  const name = personName(text);
  return name === null || printable(name) !== name ? null : name;
}
