import { randomUUID } from "node:crypto";
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs"; // prettier-ignore
import { dirname, join, relative, sep } from "node:path";
import { backup as backUpDatabase, DatabaseSync } from "node:sqlite";
import { BackupFile } from "./backup-file.ts";

/** What is made anew by the next start, or belongs to the one that runs. */
const LEFT_OUT: ReadonlySet<string> = new Set(["lock.json", "bundles", "operator.log", "operator.log.1"]);

/** Copied with the database that they belong to. */
const PARTS_OF_DATABASES = /\.sqlite-(?:wal|shm|journal)$/;

/** A machine that is added or removed in the middle changes the files; then it is done anew, so often at most. */
const ATTEMPTS = 3;

/**
 * Writes all that an Operator keeps into one file, while it runs or not. Each database is copied by SQLite itself and is
 * whole; two databases may be some moments apart, as they are after a power cut.
 * @throws Error with a sentence for the person who typed it
 */
export async function backUp(stateDir: string, target: string): Promise<{ files: number; bytes: number }> {
  if (!existsSync(join(stateDir, "secrets.json")))
    throw new Error(`${stateDir} is not the folder of an Operator: it has no secrets.json. Set OPERATOR_STATE`);
  if (existsSync(target)) throw new Error(`${target} is there already: choose another name, or remove it`);
  // Beside the target, so that the last step is a rename: a file with the target's name is always a whole backup.
  const draft = `${target}.${randomUUID()}.tmp`;
  const copies = mkdtempSync(join(dirname(target), ".operator-backup-"));
  try {
    closeSync(openSync(draft, "wx", 0o600)); // it holds every secret
    const files = await write(stateDir, draft, copies);
    renameSync(draft, target);
    return { files, bytes: statSync(target).size };
  } finally {
    rmSync(draft, { force: true });
    rmSync(copies, { recursive: true, force: true });
  }
}

async function write(stateDir: string, draft: string, copies: string): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await writeOnce(stateDir, draft, copies);
    } catch (reason) {
      const hasVanished = reason instanceof Error && "code" in reason && reason.code === "ENOENT";
      if (!hasVanished || attempt === ATTEMPTS) throw reason;
      rmSync(draft, { force: true });
      closeSync(openSync(draft, "wx", 0o600));
    }
  }
}

async function writeOnce(stateDir: string, draft: string, copies: string): Promise<number> {
  using backup = BackupFile.create(draft);
  let count = 0;
  for (const path of filesIn(stateDir)) {
    const mode = statSync(path).mode & 0o777;
    const content = path.endsWith(".sqlite") ? await databaseIn(path, copies) : readFileSync(path);
    backup.add({ path: relative(stateDir, path).split(sep).join("/"), mode, content });
    count += 1;
  }
  backup.complete();
  return count;
}

function filesIn(stateDir: string): string[] {
  return readdirSync(stateDir, { withFileTypes: true })
    .filter(({ name }) => !LEFT_OUT.has(name))
    .flatMap((entry) => {
      const path = join(stateDir, entry.name);
      if (entry.isFile()) return [path];
      if (!entry.isDirectory()) return [];
      return readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((one) => one.isFile())
        .map((one) => join(one.parentPath, one.name));
    })
    .filter((path) => !PARTS_OF_DATABASES.test(path) && !path.endsWith(".tmp"));
}

/** A database with all that was committed, also what is in its log only (SQLite, "Online Backup API"). */
async function databaseIn(path: string, copies: string): Promise<Uint8Array> {
  const copy = join(copies, randomUUID());
  statSync(path); // SQLite's own error for a file that has gone does not say so
  const database = new DatabaseSync(path, { readOnly: true });
  try {
    await backUpDatabase(database, copy);
    chmodSync(copy, 0o600);
    return readFileSync(copy);
  } finally {
    database.close();
    rmSync(copy, { force: true });
  }
}
