import { randomUUID } from "node:crypto";
import { chmodSync, closeSync, existsSync, fstatSync, openSync, readdirSync, readSync, renameSync, rmSync, statSync } from "node:fs"; // prettier-ignore
import { dirname, join, relative, sep } from "node:path";
import { backup as backUpDatabase, DatabaseSync } from "node:sqlite";
import { inWordsIfFull } from "../file-failure.ts";
import { BackupFile, PART_BYTES } from "./backup-file.ts";
import { CopiesFolder, isCopiesFolder, removeAbandoned } from "./copies-folder.ts";

/** In a state folder: files of a backup that are being unpacked, and all of them, which take the place of what is there. */
export const UNPACKING = "unpacking";
export const UNPACKED = "unpacked";

/** Not backed up: the next start creates these again, or they belong to the running process. */
const LEFT_OUT: ReadonlySet<string> = new Set(["lock.json", "bundles", "backups", "operator.log", "operator.log.1", UNPACKING, UNPACKED]); // prettier-ignore

/** Logs of machine scripts and hosted servers, in their folders. */
const SCRIPT_LOG = /^output\.log(?:\.1)?$/;

/** Whether a backup includes this entry of a state folder. */
export function isKept(name: string): boolean {
  return !LEFT_OUT.has(name) && !isCopiesFolder(name);
}

/** SQLite's own files beside a database. The copy of the database already includes their content. */
const PARTS_OF_DATABASES = /\.sqlite-(?:wal|shm|journal)$/;

/** Attempts in all. A backup starts over when a file vanishes while it runs, because a machine was removed. */
const ATTEMPTS = 3;

/**
 * Writes everything that an Operator stores into one file, whether it is running or not. SQLite itself copies each database, so
 * each copy is consistent. Two databases may be copied some moments apart, as they can be after a power cut.
 * @param partBytes of a large file in one row
 * @throws Error with a message for the person who typed the command
 */
export async function backUp(
  stateDir: string,
  target: string,
  partBytes = PART_BYTES,
): Promise<{ files: number; bytes: number }> {
  if (!existsSync(join(stateDir, "secrets.json")))
    throw new Error(`${stateDir} is not the folder of an Operator: it has no secrets.json. Set OPERATOR_STATE`);
  if (existsSync(target)) throw new Error(`${target} is there already: choose another name, or remove it`);
  const place = dirname(target);
  removeAbandoned(place);
  try {
    // Written to a folder beside the target and renamed last, so a file with the target's name is always complete.
    using folder = CopiesFolder.make(place, "backup");
    const draft = join(folder.path, "draft");
    closeSync(openSync(draft, "wx", 0o600)); // the backup contains all secrets
    const files = await write({ stateDir, draft, copies: folder.path, partBytes });
    renameSync(draft, target);
    return { files, bytes: statSync(target).size };
  } catch (reason) {
    throw inWordsIfFull(reason, place);
  }
}

type Job = { readonly stateDir: string; readonly draft: string; readonly copies: string; readonly partBytes: number };

async function write(job: Job): Promise<number> {
  const { draft } = job;
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await writeOnce(job);
    } catch (reason) {
      const hasVanished = reason instanceof Error && "code" in reason && reason.code === "ENOENT";
      if (!hasVanished || attempt === ATTEMPTS) throw reason;
      rmSync(draft, { force: true });
      closeSync(openSync(draft, "wx", 0o600));
    }
  }
}

async function writeOnce({ stateDir, draft, copies, partBytes }: Job): Promise<number> {
  using backup = BackupFile.create(draft);
  let count = 0;
  for (const path of filesIn(stateDir)) {
    const mode = statSync(path).mode & 0o777;
    const kept = relative(stateDir, path).split(sep).join("/");
    const add = (source: string): void => {
      let part = 0;
      for (const content of partsOf(source, partBytes)) backup.add({ path: kept, mode, content }, part++);
    };
    if (path.endsWith(".sqlite")) await withCopy(path, copies, add);
    else add(path);
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

/** Calls `use` with a consistent copy of a database, including what is committed only in its write-ahead log (SQLite, "Online Backup API"). */
async function withCopy(path: string, copies: string, use: (copy: string) => void): Promise<void> {
  const copy = join(copies, randomUUID());
  statSync(path); // throws ENOENT for a file that has vanished; SQLite's own error would not say so
  const database = new DatabaseSync(path, { readOnly: true, timeout: BUSY_MS });
  try {
    await backUpDatabase(database, copy);
    chmodSync(copy, 0o600);
    use(copy);
  } finally {
    database.close();
    rmSync(copy, { force: true });
  }
}

/** A file's content, in parts of this size. An empty file has one. */
function* partsOf(path: string, partBytes: number): Generator<Uint8Array> {
  const file = openSync(path, "r");
  try {
    const { size } = fstatSync(file);
    for (let at = 0; at === 0 || at < size; at += partBytes) {
      const part = Buffer.alloc(Math.min(partBytes, size - at));
      let read = 0;
      for (;;) {
        const more = readSync(file, part, read, part.length - read, at + read);
        if (more === 0) break; // all of it, or the file has become shorter
        read += more;
      }
      yield part.subarray(0, read);
    }
  } finally {
    closeSync(file);
  }
}
