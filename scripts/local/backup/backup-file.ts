import { statSync } from "node:fs";
import { DatabaseSync, type StatementSync } from "node:sqlite";
import { gunzipSync, gzipSync } from "node:zlib";

/**
 * Format numbers in the backup file. An older release refuses one that it does not know. In the second a large file has several rows. A backup
 * without such a file has the first: the last release must be able to read what was left before an upgrade.
 */
const FORMAT = 1;
const FORMAT_WITH_PARTS = 2;

/** The one thing in a backup. SQLite keeps the statement as it is written here. */
const TABLE = "CREATE TABLE file (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, content BLOB NOT NULL) STRICT";

/** The largest row: Node reads no more at once (2 GiB), so releases before 0.5 put none into a backup. A few bytes can unpack to any size. */
const MAX_ROW_BYTES = 2 ** 31 - 1;

/**
 * What one row has of a file. SQLite takes no value of more than 1 GB, and a person's database can have several: theirs alone must not prevent a
 * backup. It is in memory twice.
 */
export const PART_BYTES = 256 * 1024 * 1024;

/** What follows the path of a file in its further rows, before their number. No path has two slashes in a row. */
const PART_MARK = "//";

/** A file, or the first part of a large one. */
export type KeptFile = {
  /** Relative to the state folder, with `/` between its parts. */
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
};

/** What a row has. `part`: 0 for a file or its beginning; what follows it of the same file is 1, 2 and so on. */
export type KeptPart = KeptFile & { readonly part: number };

/**
 * A backup: one SQLite database with a row for each file of a state folder. SQLite was chosen because it is a single file, can
 * check itself for damage, and is part of Node.
 */
export class BackupFile implements Disposable {
  readonly #database: DatabaseSync;
  readonly #maxRowBytes: number;

  /** Starts a backup. @throws Error when the file cannot be created */
  static create(path: string): BackupFile {
    const database = new DatabaseSync(path);
    database.exec(`
      PRAGMA journal_mode = OFF;
      PRAGMA user_version = ${FORMAT};
      ${TABLE};
      BEGIN`);
    return new BackupFile(database, MAX_ROW_BYTES);
  }

  /**
   * Opens a backup and checks that it is complete and undamaged. What it is made of is looked at first: a view in place of the table
   * could have rows without end.
   * @throws Error with the problem
   */
  static open(path: string, maxRowBytes = MAX_ROW_BYTES): BackupFile {
    // SQLite would wait for somebody to write to a pipe.
    if (!statSync(path).isFile()) throw new Error(`${path} is not a backup of Operator: it is not a file`);
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      const format = database.prepare("PRAGMA user_version").get()?.["user_version"];
      if (format !== FORMAT && format !== FORMAT_WITH_PARTS)
        throw new Error(`it has format ${String(format)}, and this release reads up to ${FORMAT_WITH_PARTS}`);
      const parts = database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").all();
      if (parts.length !== 1 || parts[0]?.["sql"] !== TABLE) throw new Error("it has other tables than a backup");
      const sound = database.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
      if (sound !== "ok") throw new Error(`it is damaged (${String(sound)})`);
      return new BackupFile(database, maxRowBytes);
    } catch (reason) {
      database.close();
      const why = reason instanceof Error ? reason.message : String(reason);
      throw new Error(`${path} is not a backup of Operator: ${why}`, { cause: reason });
    }
  }

  private constructor(database: DatabaseSync, maxRowBytes: number) {
    this.#database = database;
    this.#maxRowBytes = maxRowBytes;
  }

  /** Adds a file, or the next part of the one that was added last. */
  add({ path, mode, content }: KeptFile, part = 0): void {
    this.#insert.run(part === 0 ? path : `${path}${PART_MARK}${part}`, mode, gzipSync(content));
    if (part > 0) this.#database.exec(`PRAGMA user_version = ${FORMAT_WITH_PARTS}`);
  }

  /** Commits the backup. Until then the file contains none of the rows. */
  complete(): void {
    this.#database.exec("COMMIT");
  }

  /** In the order in which they were added. @throws Error for a row that is larger than any backup has, or a part that follows nothing */
  *parts(): Generator<KeptPart> {
    const maxOutputLength = this.#maxRowBytes;
    let last: { readonly path: string; readonly part: number } | null = null;
    for (const row of this.#database.prepare("SELECT * FROM file ORDER BY rowid").iterate()) {
      const place = placeOf(String(row["path"]));
      if (place.part > 0 && (last?.path !== place.path || last.part !== place.part - 1))
        throw new Error(`a part of "${place.path}" is missing`);
      last = place;
      const content = gunzipSync(row["content"] as Uint8Array, { maxOutputLength });
      yield { ...place, mode: Number(row["mode"]) & 0o777, content };
    }
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #prepared: StatementSync | null = null;

  get #insert(): StatementSync {
    return (this.#prepared ??= this.#database.prepare("INSERT INTO file VALUES (?, ?, ?)"));
  }
}

function placeOf(text: string): { path: string; part: number } {
  const [, path, part] = /^(.+)\/\/([1-9]\d{0,5})$/s.exec(text) ?? [];
  return path === undefined ? { path: text, part: 0 } : { path, part: Number(part) };
}
