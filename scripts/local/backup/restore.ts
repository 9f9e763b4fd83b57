import { mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { BackupFile } from "./backup-file.ts";

/**
 * A relative path in which no segment is empty, `.` or `..`, so that it stays inside the folder. No path of a state folder has a backslash,
 * which separates segments as well on Windows.
 */
const BELOW = /^(?!\/)(?:(?!\.{1,2}(?:\/|$))[^/\\\0]+(?:\/|$))+$/;

/** What whoever restores a backup has to know before anybody can reach it. A backup cannot tell what was revoked after it was made. */
export const COMES_BACK =
  "Everything is as it was when the backup was made. What was removed or revoked after that has access again: people, apps, tokens, enrolment keys, machines, browsers, passkeys and former passwords. Remove and revoke it again.";

/**
 * Writes the files of a backup into an empty folder, with which an Operator can then be started.
 * @throws Error with a message for the person who typed the command; the folder is then empty again
 */
export function restore(source: string, stateDir: string): { files: number } {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  if (readdirSync(stateDir).length > 0)
    throw new Error(`${stateDir} is not empty. Move it away, or name another folder with OPERATOR_STATE`);
  try {
    return { files: unpack(source, stateDir) };
  } catch (reason) {
    for (const name of readdirSync(stateDir)) rmSync(join(stateDir, name), { recursive: true, force: true });
    throw reason;
  }
}

/** Writes the files of a backup into a folder that has none of them. Returns their number. @throws Error with the problem */
export function unpack(source: string, stateDir: string): number {
  using backup = BackupFile.open(source);
  let files = 0;
  for (const { path, mode, content } of backup.files()) {
    if (!BELOW.test(path)) throw new Error(`${source} names a file outside its folder: "${path}"`);
    const file = join(stateDir, path);
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    writeFileSync(file, content, { mode, flag: "wx" });
    files += 1;
  }
  return files;
}
