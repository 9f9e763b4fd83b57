import { closeSync, mkdirSync, openSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import type { DatabaseSync, StatementSync } from "node:sqlite";
import { ftsQuery } from "./match.ts";
import type { Batch, FileFacts, Found, ModelPrice, SessionTokens, Store, UsageSum } from "./store.ts";

/** Increase this when the tables or their content change. A database with another number is deleted and built again. */
const VERSION = 3;

/** Ids of passages with the same timestamp. A fork repeats the timestamps of everything that it copies. Further ones take later ids. */
const IDS_PER_MS = 1_024;

/** Later times count as this one (in 2109), so that there are exact numbers for their ids and for those after them. */
const MAX_AT_MS = 2 ** 42;

const SCHEMA = `
  CREATE TABLE file(
    id INTEGER PRIMARY KEY, path TEXT NOT NULL UNIQUE, session TEXT NOT NULL, slug TEXT NOT NULL, isMain INTEGER NOT NULL,
    offset INTEGER NOT NULL, mtimeMs REAL NOT NULL, lines INTEGER NOT NULL, unreadableLines INTEGER NOT NULL,
    title TEXT, titleRank INTEGER NOT NULL, firstAtMs INTEGER, lastAtMs INTEGER, cwd TEXT, branch TEXT, model TEXT,
    prompts INTEGER NOT NULL, answers INTEGER NOT NULL, costUsd REAL
  );
  CREATE INDEX file_session ON file(session);
  CREATE INDEX file_slug ON file(slug);
  CREATE TABLE passage(id INTEGER PRIMARY KEY, file INTEGER NOT NULL, offset INTEGER NOT NULL, atMs INTEGER, role TEXT NOT NULL);
  CREATE INDEX passage_file ON passage(file);
  CREATE VIRTUAL TABLE word USING fts5(text, content='', contentless_delete=1, tokenize='unicode61');
  CREATE TABLE usage(
    id TEXT PRIMARY KEY, session TEXT NOT NULL, slug TEXT NOT NULL, model TEXT NOT NULL, day TEXT NOT NULL,
    input INTEGER NOT NULL, output INTEGER NOT NULL, cacheRead INTEGER NOT NULL, cacheWrite INTEGER NOT NULL
  ) WITHOUT ROWID;
  CREATE INDEX usage_session ON usage(session);
  CREATE INDEX usage_slug ON usage(slug);
  CREATE TABLE price(model TEXT PRIMARY KEY, usdPerToken REAL NOT NULL);
  PRAGMA user_version = ${VERSION};
`;

const FACTS = [
  "path session slug isMain offset mtimeMs lines unreadableLines title titleRank",
  "firstAtMs lastAtMs cwd branch model prompts answers costUsd",
]
  .join(" ")
  .split(" ");

const SUMS = "SUM(input) AS input, SUM(output) AS output, SUM(cacheRead) AS cacheRead, SUM(cacheWrite) AS cacheWrite";

type Row = Record<string, unknown>;

/**
 * The index in SQLite. Only the inverted index of the words is stored (a contentless FTS5 table). The text itself stays in Claude
 * Code's files, from which snippets are read, so the index takes a fraction of the history's size.
 */
export class SqliteStore implements Store {
  readonly kind = "sqlite";
  readonly #database: DatabaseSync;
  readonly #statements = new Map<string, StatementSync>();
  #serial = 0;

  private constructor(database: DatabaseSync) {
    this.#database = database;
  }

  /**
   * Opens the store; `null` when this Node has no SQLite, or one without full-text search. Throws when the file cannot be
   * created.
   */
  static async open(path: string): Promise<SqliteStore | null> {
    const sqlite = await import("node:sqlite").catch(() => null);
    if (sqlite === null || !hasFullText(sqlite.DatabaseSync)) return null;
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    try {
      return new SqliteStore(openAt(sqlite.DatabaseSync, path));
    } catch (error) {
      // Truncated by a full disk, or not a database: it is rebuilt, once.
      if (!isBroken(error)) throw error;
      remove(path);
      return new SqliteStore(openAt(sqlite.DatabaseSync, path));
    }
  }

  files(): FileFacts[] {
    return this.#all("SELECT * FROM file").map(toFacts);
  }

  facts(session: string): FileFacts | null {
    const row = this.#all(
      "SELECT * FROM file WHERE session = ? AND isMain = 1 ORDER BY mtimeMs DESC LIMIT 1",
      session,
    )[0];
    return row === undefined ? null : toFacts(row);
  }

  sessionsOf(slug: string): FileFacts[] {
    return this.#all("SELECT * FROM file WHERE slug = ? AND isMain = 1", slug).map(toFacts);
  }

  write({ facts, passages, usage, prices }: Batch): void {
    this.#transaction(() => {
      const file = this.#writeFacts(facts);
      for (const { offset, atMs, role, text } of passages) {
        const id = this.#writePassage([file, offset, atMs, role]);
        this.#run("INSERT INTO word(rowid, text) VALUES(?,?)", [id, text]);
      }
      for (const { id, session, slug, model, day, tokens } of usage) {
        const { input, output, cacheRead, cacheWrite } = tokens;
        // Claude Code writes an answer as several lines, the last of which has the final count; and a fork repeats
        // all of them, which must not count twice.
        this.#run(
          `INSERT INTO usage VALUES(?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET output = MAX(output, excluded.output),
           input = MAX(input, excluded.input), cacheRead = MAX(cacheRead, excluded.cacheRead),
           cacheWrite = MAX(cacheWrite, excluded.cacheWrite)`,
          [id, session, slug, model, day, input, output, cacheRead, cacheWrite],
        );
      }
      for (const { model, usdPerToken } of prices) {
        this.#run("INSERT INTO price VALUES(?,?) ON CONFLICT(model) DO UPDATE SET usdPerToken = excluded.usdPerToken", [
          model,
          usdPerToken,
        ]);
      }
    });
  }

  forget(path: string): void {
    this.#transaction(() => {
      const row = this.#all("SELECT id FROM file WHERE path = ?", path)[0];
      if (row === undefined) return;
      const file = Number(row["id"]);
      this.#run("DELETE FROM word WHERE rowid IN (SELECT id FROM passage WHERE file = ?)", [file]);
      this.#run("DELETE FROM passage WHERE file = ?", [file]);
      this.#run("DELETE FROM file WHERE id = ?", [file]);
    });
  }

  search(query: string, limit: number): Found[] {
    const match = ftsQuery(query);
    if (match === null) return [];
    // Not ranked by bm25, which first examines every occurrence of every word. For a common word that is most of the history.
    const rows = this.#all(
      `SELECT f.path, f.session, f.slug, p.offset, p.atMs, p.role FROM
         (SELECT rowid FROM word WHERE word MATCH ? ORDER BY rowid DESC LIMIT ${Math.trunc(limit)}) m
         JOIN passage p ON p.id = m.rowid JOIN file f ON f.id = p.file`,
      match,
    );
    return rows.map((row) => ({
      path: String(row["path"]),
      session: String(row["session"]),
      slug: String(row["slug"]),
      role: String(row["role"]),
      offset: Number(row["offset"]),
      atMs: row["atMs"] === null ? null : Number(row["atMs"]),
    }));
  }

  usage(): UsageSum[] {
    return this.#all(`SELECT day, slug, model, ${SUMS} FROM usage GROUP BY day, slug, model`).map(toSum);
  }

  tokensOf(of: { session: string } | { slug: string }): SessionTokens[] {
    const [column, value] = "session" in of ? ["session", of.session] : ["slug", of.slug];
    const sql = `SELECT session, model, ${SUMS} FROM usage WHERE ${column} = ? GROUP BY session, model`;
    return this.#all(sql, value).map((row) => ({ ...toSum(row), session: String(row["session"]) }));
  }

  prices(): ModelPrice[] {
    const rows = this.#all("SELECT model, usdPerToken FROM price");
    return rows.map((row) => ({ model: String(row["model"]), usdPerToken: Number(row["usdPerToken"]) }));
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  /**
   * Ids increase with time, so that the newest matches of a word are found without examining the others. A file may have a million passages of
   * the same time, or of none. So each try that finds its id taken is followed by one among twice as many.
   */
  #writePassage([file, offset, atMs, role]: [number, number, number | null, string]): number {
    const sql = "INSERT OR IGNORE INTO passage(id, file, offset, atMs, role) VALUES(?,?,?,?,?)";
    const first = Math.min(Math.max(atMs ?? 0, 0), MAX_AT_MS) * IDS_PER_MS;
    this.#serial = (this.#serial + 1) % IDS_PER_MS;
    let place = this.#serial;
    for (let places = IDS_PER_MS; ; places *= 2) {
      const id = first + place;
      place = Math.floor(Math.random() * places);
      if (Number(this.#run(sql, [id, file, offset, atMs, role]).changes) === 1) return id;
    }
  }

  #writeFacts(facts: FileFacts): number {
    const values = FACTS.map((name) => {
      const value = (facts as unknown as Record<string, string | number | boolean | null>)[name] ?? null;
      return typeof value === "boolean" ? Number(value) : value;
    });
    const updates = FACTS.map((name) => `${name} = excluded.${name}`).join(", ");
    const marks = FACTS.map(() => "?").join(",");
    this.#run(
      `INSERT INTO file(${FACTS.join(",")}) VALUES(${marks}) ON CONFLICT(path) DO UPDATE SET ${updates}`,
      values,
    );
    return Number(this.#all("SELECT id FROM file WHERE path = ?", facts.path)[0]?.["id"]);
  }

  #transaction(work: () => void): void {
    this.#database.exec("BEGIN");
    try {
      work();
      this.#database.exec("COMMIT");
    } catch (error) {
      this.#database.exec("ROLLBACK");
      throw error;
    }
  }

  #all(sql: string, ...values: string[]): Row[] {
    return this.#statement(sql).all(...values);
  }

  #run(sql: string, values: (string | number | bigint | null)[]): { changes: number | bigint } {
    return this.#statement(sql).run(...values);
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }
}

function hasFullText(Database: typeof DatabaseSync): boolean {
  const database = new Database(":memory:");
  try {
    database.exec("CREATE VIRTUAL TABLE probe USING fts5(text, content='', contentless_delete=1)");
    return true;
  } catch {
    // The first versions of Node 22 with SQLite were built without full-text search.
    return false;
  } finally {
    database.close();
  }
}

function openAt(Database: typeof DatabaseSync, path: string): DatabaseSync {
  let database = open(Database, path);
  const version = Number(Object.values(database.prepare("PRAGMA user_version").get() ?? {})[0]);
  if (version !== VERSION) {
    database.close();
    remove(path);
    database = open(Database, path);
    database.exec(SCHEMA);
  }
  return database;
}

function open(Database: typeof DatabaseSync, path: string): DatabaseSync {
  // SQLite would leave the mode to the umask. Its other files get the mode of this one.
  closeSync(openSync(path, "a", 0o600));
  const database = new Database(path);
  try {
    // The index can be rebuilt, so losing the last second in a power failure is cheaper than a sync for every batch.
    database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF; PRAGMA cache_size = -16000");
    return database;
  } catch (error) {
    database.close();
    throw error;
  }
}

/** Whether the error is SQLITE_CORRUPT or SQLITE_NOTADB. */
function isBroken(error: unknown): boolean {
  return error instanceof Error && "errcode" in error && (error.errcode === 11 || error.errcode === 26);
}

function remove(path: string): void {
  for (const suffix of ["", "-wal", "-shm"]) rmSync(path + suffix, { force: true });
}

function toFacts(row: Row): FileFacts {
  const { id: _, isMain, ...facts } = row;
  // The columns have the names and types of the fields.
  return { ...facts, isMain: isMain === 1 } as unknown as FileFacts;
}

function toSum(row: Row): UsageSum {
  const tokens = {
    input: Number(row["input"]),
    output: Number(row["output"]),
    cacheRead: Number(row["cacheRead"]),
    cacheWrite: Number(row["cacheWrite"]),
  };
  return { day: String(row["day"]), slug: String(row["slug"]), model: String(row["model"]), tokens };
}
