import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { writePrivately } from "./atomic-file.ts";
import { codezHome } from "./home.ts";

/** A token is a line of some 60 characters; what is larger was not written by us. */
const MAX_BYTES = 1_024;

/** The file is there, but others could have read it or put it there. */
export class NotPrivate extends Error {
  override readonly name = "NotPrivate";
  readonly path: string;

  constructor(path: string) {
    super(`${path} can be read or written by others, or belongs to somebody else`);
    this.path = path;
  }
}

/**
 * Where an Operator on this computer leaves the token of its owner for the owner's own programs: one file for each address, so
 * that a token is never shown to an Operator at another one. `null` for addresses that are not of this kind: `localhost` may
 * mean another address (`[::1]`) on which another user's program listens, so only 127.0.0.1 counts.
 */
export function ownerTokenPath(origin: string, home: string = codezHome()): string | null {
  const { protocol, hostname, port } = new URL(origin);
  if (protocol !== "http:" || hostname !== "127.0.0.1") return null;
  return join(home, "operators", `${hostname}-${port || "80"}.token`);
}

/** Leaves a token for the programs of the user who runs this. Answers the file. */
export function writeOwnerToken(origin: string, token: string, home: string = codezHome()): string {
  const path = ownerTokenPath(origin, home);
  if (path === null) throw new Error(`there are no owner's tokens for ${origin}`);
  writePrivately(path, `${token}\n`);
  return path;
}

/**
 * The token that the Operator at `origin` left for this user; `null` when there is none. `CODEZ_HOME` moves what `codez`
 * keeps, and whoever started Operator may have had another one, so the user's usual folders are looked into as well.
 * Throws NotPrivate.
 */
export function readOwnerToken(origin: string): string | null {
  const homes = new Set([codezHome(), join(homedir(), ".codez"), ...accountHome()]);
  for (const home of homes) {
    const path = ownerTokenPath(origin, home);
    const token = path === null ? null : readPrivately(path);
    if (token !== null) return token;
  }
  return null;
}

/** The home folder that the system knows, also where `HOME` was changed. */
function accountHome(): string[] {
  try {
    return [join(userInfo().homedir, ".codez")];
  } catch {
    return []; // a container's user may have no account
  }
}

function readPrivately(path: string): string | null {
  let file: number;
  try {
    // Neither a link, nor something that keeps its reader waiting (a pipe).
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && (reason.code === "ENOENT" || reason.code === "EACCES"))
      return null;
    throw reason;
  }
  try {
    const { mode, uid, size } = fstatSync(file);
    const isOwn = process.getuid === undefined || uid === process.getuid();
    const isPrivate = process.platform === "win32" || (mode & 0o077) === 0;
    if (!isOwn || !isPrivate || (mode & constants.S_IFMT) !== constants.S_IFREG || size > MAX_BYTES)
      throw new NotPrivate(path);
    return readFileSync(file, "utf8").trim() || null;
  } finally {
    closeSync(file);
  }
}
