import { closeSync, existsSync, lstatSync, mkdtempSync, openSync, readdirSync, rmdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { pathToFileURL } from "node:url";
import { whyNotOwn } from "../../system/own-path.ts";

/** The name of such a folder: what made it, and six characters of mkdtemp(3). */
const NAME = /^\.operator-(?:backup|rehearsal)-[A-Za-z0-9]{6}$/;

/** A SQLite database without content, locked while the folder is in use. It is the first file in a folder, and the last one to go. */
const LOCK = "in-use";

/** Whoever looks for abandoned folders may find a new one in the moment before it is locked, and remove it. */
const MAX_TRIES = 3;

export function isCopiesFolder(name: string): boolean {
  return NAME.test(name);
}

/** Where an Operator with this state folder may have left one. A backup in another place is followed by others there, which look. */
export function placesOf(stateDir: string): string[] {
  return [dirname(stateDir), stateDir, join(stateDir, "backups")];
}

/**
 * A private folder (0700) with copies of all secrets, for as long as a backup or a rehearsal takes. If that is killed, the next one, the next
 * start or `operator doctor` removes the folder. To tell whether it is still in use, its maker keeps a lock on a file in it, which the kernel
 * lifts when the process ends for any reason. The id of a process would say less: backups of several containers may have one folder.
 */
export class CopiesFolder implements Disposable {
  readonly path: string;
  readonly #lock: DatabaseSync;

  /** @throws Error when it cannot be written */
  static make(parent: string, kind: "backup" | "rehearsal"): CopiesFolder {
    for (let tries = 1; ; tries += 1) {
      const path = mkdtempSync(join(parent, `.operator-${kind}-`));
      try {
        closeSync(openSync(join(path, LOCK), "wx", 0o600));
        const lock = locked(path);
        if (existsSync(join(path, LOCK))) return new CopiesFolder(path, lock);
        lock.close();
      } catch (reason) {
        rmSync(path, { recursive: true, force: true });
        if (tries === MAX_TRIES) throw reason;
      }
    }
  }

  private constructor(path: string, lock: DatabaseSync) {
    this.path = path;
    this.#lock = lock;
    process.on("exit", this.#remove);
  }

  [Symbol.dispose](): void {
    process.off("exit", this.#remove);
    this.#remove();
    this.#lock.close();
  }

  readonly #remove = (): void => {
    if (existsSync(this.path)) removeLockLast(this.path);
  };
}

/** Folders that were `removed`, and those of which nobody can say whether they are in use: releases up to 0.5.0 did not lock them. */
export type Abandoned = { readonly removed: readonly string[]; readonly unclear: readonly string[] };

/** Removes the folders in `parent` that killed processes of this user have left. */
export function removeAbandoned(parent: string): Abandoned {
  const paths = namesIn(parent)
    .filter(isCopiesFolder)
    .map((name) => join(parent, name))
    .filter(isOwnFolder);
  return {
    removed: paths.filter(removeIfAbandoned),
    unclear: paths.filter((path) => existsSync(path) && !isLockable(path)),
  };
}

/** A folder, not a link to one, that this user made and nobody else can have put there or change. */
function isOwnFolder(path: string): boolean {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  const isOurs = process.getuid === undefined || stat?.uid === process.getuid();
  try {
    return stat?.isDirectory() === true && isOurs && whyNotOwn(path) === null;
  } catch {
    return false; // its maker, or another process that looks, has just removed it
  }
}

function isLockable(path: string): boolean {
  return lstatSync(join(path, LOCK), { throwIfNoEntry: false })?.isFile() === true;
}

function removeIfAbandoned(path: string): boolean {
  let lock: DatabaseSync | null = null;
  try {
    if (isLockable(path)) {
      lock = locked(path);
      removeLockLast(path);
    } else rmdirSync(path); // only an empty one: it was killed before it was locked, or its maker will make another one
    return true;
  } catch {
    return false; // in use, or another process is removing it, or this user may not; the next look finds it again
  } finally {
    lock?.close();
  }
}

/** A removal that is killed leaves the lock, by which the next one knows that it may go on. */
function removeLockLast(path: string): void {
  for (const name of readdirSync(path)) if (name !== LOCK) rmSync(join(path, name), { recursive: true, force: true });
  rmSync(path, { recursive: true, force: true, maxRetries: 3 }); // workerd of a rehearsal that was just killed may still write
}

/** @throws Error when another process has it locked, or has just removed it */
function locked(path: string): DatabaseSync {
  const lock = new DatabaseSync(`${pathToFileURL(join(path, LOCK)).href}?mode=rw`, { timeout: 0 });
  try {
    // Nothing is written, not even a journal: what has filled the disk may be the copies that are to be removed.
    lock.exec("PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE");
    return lock;
  } catch (reason) {
    lock.close();
    throw reason;
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return []; // there is none, or this user may not read it, and so has left nothing there
  }
}
