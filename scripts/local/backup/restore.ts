import {
  appendFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { randomUUID } from "node:crypto";
import { dirname, join } from "node:path";
import { inWordsIfFull } from "../file-failure.ts";
import { readFileIfAny } from "../file.ts";
import { takeLock } from "../lock.ts";
import { openState } from "../state.ts";
import { BackupFile } from "./backup-file.ts";
import { isKept, UNPACKED, UNPACKING } from "./backup.ts";

/**
 * A relative path in which no segment is empty, `.` or `..`, so that it stays inside the folder. No path of a state folder has a backslash,
 * which separates segments as well on Windows.
 */
const BELOW = /^(?!\/)(?:(?!\.{1,2}(?:\/|$))[^/\\\0]+(?:\/|$))+$/;

/**
 * What whoever restores a backup has to know before anybody can reach it. A backup cannot tell what was revoked after it was made, and does not know
 * what was issued: a machine's link gets another token each month, and the machine keeps the last two.
 */
export const COMES_BACK =
  "Everything is as it was when the backup was made. What was removed or revoked after that has access again: people, apps, tokens, enrolment keys, machines, browsers, passkeys and former passwords. Remove and revoke it again. What was made or renewed after that has none: sign-ins, tokens, and machines that were set up since or whose link was renewed more than once, as it is each month. Their connectors say so; run codez setup with the machine's name there.";

/**
 * Has an id of the restore, by which Operator knows that the log of events is an earlier one, and does not take the cursors of its readers for
 * positions in it.
 */
const RESTORED = "restored";

/** Without it a folder is not an Operator's, so it is the last to be put in place. */
const LAST = "secrets.json";

/**
 * Writes the files of a backup into an empty folder, with which an Operator can then be started. Nobody else may use the folder meanwhile: another
 * restore, or a start, would find half of it.
 * @throws Error with a message for the person who typed the command; the folder is then empty again
 */
export async function restore(source: string, stateDir: string): Promise<{ files: number }> {
  try {
    return await restoreAlone(source, stateDir);
  } catch (reason) {
    throw inWordsIfFull(reason, stateDir);
  }
}

async function restoreAlone(source: string, stateDir: string): Promise<{ files: number }> {
  const { lock: lockFile } = await openState(stateDir);
  const isOurs = (name: string): boolean => join(stateDir, name).startsWith(lockFile) || name === UNPACKING;
  const lock = await takeLock(lockFile);
  try {
    if (!readdirSync(stateDir).every(isOurs))
      throw new Error(`${stateDir} is not empty. Move it away, or name another folder with OPERATOR_STATE`);
    return { files: putInPlace(source, stateDir, randomUUID()) };
  } finally {
    rmSync(join(stateDir, UNPACKING), { recursive: true, force: true });
    lock.release();
  }
}

/**
 * Puts the files of a backup in the place of what a state folder has. A crash at any moment leaves the one or the other: what is left is put in place
 * by `finishRestore`. Returns their number. @throws Error with the problem; the folder is then as it was
 * @param id of a restore after which others have gone on with what was there since the backup; without one, nobody has
 */
export function putInPlace(source: string, stateDir: string, id: string | null = null): number {
  const draft = join(stateDir, UNPACKING);
  rmSync(draft, { recursive: true, force: true });
  const files = unpack(source, draft);
  if (id !== null) writeFileSync(join(draft, RESTORED), id, { mode: 0o600 });
  renameSync(draft, join(stateDir, UNPACKED));
  for (const name of readdirSync(stateDir))
    if (isKept(name)) rmSync(join(stateDir, name), { recursive: true, force: true });
  finishRestore(stateDir);
  return files;
}

/** The id of the last restore; `null` if there was none. */
export async function restoreOf(stateDir: string): Promise<string | null> {
  return readFileIfAny(join(stateDir, RESTORED));
}

/** For whoever starts with a state folder in which a restore was interrupted. @throws Error if there is nothing yet to start with */
export function finishRestore(stateDir: string): void {
  const whole = join(stateDir, UNPACKED);
  if (existsSync(whole)) {
    const names = readdirSync(whole).toSorted((one, other) => Number(one === LAST) - Number(other === LAST));
    for (const name of names) {
      rmSync(join(stateDir, name), { recursive: true, force: true });
      renameSync(join(whole, name), join(stateDir, name));
    }
    rmdirSync(whole);
  }
  const half = join(stateDir, UNPACKING);
  if (existsSync(half) && !existsSync(join(stateDir, LAST))) {
    // What it has so far is secret. The folder stays: without it the next start would begin with a new state.
    for (const name of readdirSync(half)) rmSync(join(half, name), { recursive: true, force: true });
    throw new Error(`A backup was not restored to its end in ${stateDir}. Restore it again.`);
  }
  rmSync(half, { recursive: true, force: true });
}

/** Writes the files of a backup into a folder that has none of them. Returns their number. @throws Error with the problem */
export function unpack(source: string, stateDir: string): number {
  using backup = BackupFile.open(source);
  let files = 0;
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  for (const { path, mode, content, part } of backup.parts()) {
    if (!BELOW.test(path)) throw new Error(`${source} names a file outside its folder: "${path}"`);
    // A lock of nobody's, or what would be taken for another restore. Releases up to 0.5.0 backed up copies that a killed backup had left.
    if (!isKept(path.split("/", 1)[0] ?? "")) continue;
    const file = join(stateDir, path);
    if (part === 0) {
      mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
      writeFileSync(file, content, { mode, flag: "wx" });
      files += 1;
    } else appendFileSync(file, content);
  }
  return files;
}
