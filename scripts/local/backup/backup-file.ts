import { DatabaseSync, type StatementSync } from "node:sqlite";
import { gunzipSync, gzipSync } from "node:zlib";

/** Format number in the backup file. Increase it when the format changes, so that an older release refuses the file. */
const FORMAT = 1;

/** The one thing in a backup. SQLite keeps the statement as it is written here. */
const TABLE = "CREATE TABLE file (path TEXT PRIMARY KEY, mode INTEGER NOT NULL, content BLOB NOT NULL) STRICT";

/** The largest file: Node reads no larger one at once (2 GiB), so none was put into a backup. A few bytes can unpack to any size. */
const MAX_FILE_BYTES = 2 ** 31 - 1;

export type KeptFile = {
  /** Relative to the state folder, with `/` between its parts. */
  readonly path: string;
  readonly mode: number;
  readonly content: Uint8Array;
};

/**
 * A backup: one SQLite database with a row for each file of a state folder. SQLite was chosen because it is a single file, can
 * check itself for damage, and is part of Node.
 */
export class BackupFile implements Disposable {
  readonly #database: DatabaseSync;
  readonly #maxFileBytes: number;

  /** Starts a backup. @throws Error when the file cannot be created */
  static create(path: string): BackupFile {
    const database = new DatabaseSync(path);
    database.exec(`
      PRAGMA journal_mode = OFF;
      PRAGMA user_version = ${FORMAT};
      ${TABLE};
      BEGIN`);
    return new BackupFile(database, MAX_FILE_BYTES);
  }

  /**
   * Opens a backup and checks that it is complete and undamaged. What it is made of is looked at first: a view in place of the table
   * could have rows without end.
   * @throws Error with the problem
   */
  static open(path: string, maxFileBytes = MAX_FILE_BYTES): BackupFile {
    const database = new DatabaseSync(path, { readOnly: true });
    try {
      const format = database.prepare("PRAGMA user_version").get()?.["user_version"];
      if (format !== FORMAT) throw new Error(`it has format ${String(format)}, and this release reads ${FORMAT}`);
      const parts = database.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL").all();
      if (parts.length !== 1 || parts[0]?.["sql"] !== TABLE) throw new Error("it has other tables than a backup");
      const sound = database.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
      if (sound !== "ok") throw new Error(`it is damaged (${String(sound)})`);
      return new BackupFile(database, maxFileBytes);
    } catch (reason) {
      database.close();
      const why = reason instanceof Error ? reason.message : String(reason);
      throw new Error(`${path} is not a backup of Operator: ${why}`, { cause: reason });
    }
  }

  private constructor(database: DatabaseSync, maxFileBytes: number) {
    this.#database = database;
    this.#maxFileBytes = maxFileBytes;
  }

  add({ path, mode, content }: KeptFile): void {
    this.#insert.run(path, mode, gzipSync(content));
  }

  /** Commits the backup. Until then the file contains none of the rows. */
  complete(): void {
    this.#database.exec("COMMIT");
  }

  /** @throws Error for a file that is larger than any backup has */
  *files(): Generator<KeptFile> {
    const maxOutputLength = this.#maxFileBytes;
    for (const { path, mode, content } of this.#database.prepare("SELECT * FROM file ORDER BY path").iterate())
      yield {
        path: String(path),
        mode: Number(mode) & 0o777,
        content: gunzipSync(content as Uint8Array, { maxOutputLength }),
      };
  }

  [Symbol.dispose](): void {
    this.#database.close();
  }

  #prepared: StatementSync | null = null;

  get #insert(): StatementSync {
    return (this.#prepared ??= this.#database.prepare("INSERT INTO file VALUES (?, ?, ?)"));
  }
}
