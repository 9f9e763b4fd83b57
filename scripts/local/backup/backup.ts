import { randomUUID } from "node:crypto";
import { chmodSync, closeSync, existsSync, mkdtempSync, openSync, readdirSync, readFileSync, renameSync, rmSync, statSync } from "node:fs"; // prettier-ignore
import { dirname, join, relative, sep } from "node:path";
import { backup as backUpDatabase, DatabaseSync } from "node:sqlite";
import { BackupFile } from "./backup-file.ts";

/** Not backed up: the next start creates these again, or they belong to the running process. */
const LEFT_OUT: ReadonlySet<string> = new Set(["lock.json", "bundles", "backups", "operator.log", "operator.log.1"]);

/** Logs of machine scripts and hosted servers, in their folders. */
const SCRIPT_LOG = /^output\.log(?:\.1)?$/;

/** Whether a backup includes this entry of a state folder. */
export function isKept(name: string): boolean {
  return !LEFT_OUT.has(name);
}

/** SQLite's own files beside a database. The copy of the database already includes their content. */
const PARTS_OF_DATABASES = /\.sqlite-(?:wal|shm|journal)$/;

/** Attempts in all. A backup starts over when a file vanishes while it runs, because a machine was removed. */
const ATTEMPTS = 3;

/**
 * Writes everything that an Operator stores into one file, whether it is running or not. SQLite itself copies each database, so
 * each copy is consistent. Two databases may be copied some moments apart, as they can be after a power cut.
 * @throws Error with a message for the person who typed the command
 */
export async function backUp(stateDir: string, target: string): Promise<{ files: number; bytes: number }> {
  if (!existsSync(join(stateDir, "secrets.json")))
    throw new Error(`${stateDir} is not the folder of an Operator: it has no secrets.json. Set OPERATOR_STATE`);
  if (existsSync(target)) throw new Error(`${target} is there already: choose another name, or remove it`);
  // Written to a temporary file beside the target and renamed last, so a file with the target's name is always complete.
  const draft = `${target}.${randomUUID()}.tmp`;
  const copies = mkdtempSync(join(dirname(target), ".operator-backup-"));
  try {
    closeSync(openSync(draft, "wx", 0o600)); // the backup contains all secrets
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
    .filter(({ name }) => isKept(name))
    .flatMap((entry) => {
      const path = join(stateDir, entry.name);
      if (entry.isFile()) return [path];
      if (!entry.isDirectory()) return [];
      return readdirSync(path, { recursive: true, withFileTypes: true })
        .filter((one) => one.isFile() && !SCRIPT_LOG.test(one.name))
        .map((one) => join(one.parentPath, one.name));
    })
    .filter((path) => !PARTS_OF_DATABASES.test(path) && !path.endsWith(".tmp"));
}

/** A running workerd locks its databases for moments. */
const BUSY_MS = 5_000;

/** A consistent copy of a database, including what is committed only in its write-ahead log (SQLite, "Online Backup API"). */
async function databaseIn(path: string, copies: string): Promise<Uint8Array> {
  const copy = join(copies, randomUUID());
  statSync(path); // throws ENOENT for a file that has vanished; SQLite's own error would not say so
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    await backUpDatabase(database, copy);
    chmodSync(copy, 0o600);
    return readFileSync(copy);
  } finally {
    database.close();
    rmSync(copy, { force: true });
  }
}
