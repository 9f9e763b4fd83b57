import { closeSync, constants, fstatSync, openSync, readFileSync, type Stats, statSync } from "node:fs";
import { dirname } from "node:path";
import { isMissing } from "./is-missing.ts";

/** Bits of a mode: the group or everybody may write; may enter a folder. */
export const OTHERS_WRITE = 0o022;
export const OTHERS_ENTER = 0o011;

/**
 * Why a file that decides what runs on this computer is not used; `null` if nobody but its owner, who runs this process, or root can have
 * written it. In a folder that only its owner can enter, as `codez` makes it, the file's own mode does not matter: with many a umask, editors
 * make files that the group may write. Windows has no such modes.
 */
export function whyNotTrusted(path: string, { mode, uid }: Stats): string | null {
  if ((mode & constants.S_IFMT) !== constants.S_IFREG) return "it is not a regular file";
  if (process.getuid === undefined) return null;
  if (isOfOthers(uid)) return "it belongs to another user";
  const folder = statSync(dirname(path));
  if (isOfOthers(folder.uid)) return `its folder ${dirname(path)} belongs to another user`;
  if ((folder.mode & OTHERS_ENTER) === 0) return null;
  if ((folder.mode & OTHERS_WRITE) !== 0) return `others may replace it (chmod go-w ${dirname(path)})`;
  return (mode & OTHERS_WRITE) === 0 ? null : `others may write it (chmod go-w ${path})`;
}

/** Thrown instead of reading a file that somebody else could have written. The message says why. */
export class NotTrusted extends Error {
  override readonly name = "NotTrusted";
}

/** The text of such a file; `null` if there is none. Throws NotTrusted or a system error. */
export function readTrustedFile(path: string): string | null {
  let file: number;
  try {
    // A named pipe must not make the command wait.
    file = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (reason) {
    if (isMissing(reason)) return null;
    throw reason;
  }
  try {
    // Asked of the open file, so that nobody can put another one in its place in between.
    const distrust = whyNotTrusted(path, fstatSync(file));
    if (distrust !== null) throw new NotTrusted(distrust);
    return readFileSync(file, "utf8");
  } finally {
    closeSync(file);
  }
}

/** Whether somebody other than this user and root has that id. */
export function isOfOthers(uid: number): boolean {
  return uid !== process.getuid?.() && uid !== 0;
}
