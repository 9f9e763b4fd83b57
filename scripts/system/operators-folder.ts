import { closeSync, constants, fstatSync, openSync, readFileSync } from "node:fs";
import { homedir, userInfo } from "node:os";
import { join } from "node:path";
import { writePrivately } from "./atomic-file.ts";
import { codezHome } from "./home.ts";
import { isMissing } from "./is-missing.ts";

/** A token or a key is one line of about 60 characters. Neither Operator nor `codez` wrote a larger file. */
const MAX_BYTES = 1_024;

/**
 * What this user may know of the Operator at an address: its owner's token, which an Operator that runs as the same user leaves for its owner's
 * programs; or its public key, which `codez` keeps when it meets the Operator of another user.
 */
export type Known = "token" | "key";

/** The file exists, but other users could have read it or created it, or it is a link, a pipe or a folder. */
export class NotPrivate extends Error {
  override readonly name = "NotPrivate";
  readonly path: string;

  constructor(path: string) {
    super(`${path} can be read or written by others, belongs to somebody else, or is not a file`);
    this.path = path;
  }
}

/**
 * The file about the Operator at an address of this computer. There is one file per address, so that a token is never sent to an Operator at
 * another address. `null` for addresses without such a file: only 127.0.0.1 has one, because `localhost` may resolve to `[::1]`, where another
 * user's program may listen.
 */
export function operatorFile(origin: string, known: Known, home: string = codezHome()): string | null {
  const { protocol, hostname, port } = new URL(origin);
  if (protocol !== "http:" || hostname !== "127.0.0.1") return null;
  return join(home, "operators", `${hostname}-${port || "80"}.${known}`);
}

/** Stores what the programs of the user who runs this process must know. Returns the file's path. */
export function writeKnown(origin: string, known: Known, text: string, home: string = codezHome()): string {
  const path = operatorFile(origin, known, home);
  if (path === null) throw new Error(`nothing can be stored about ${origin}`);
  writePrivately(path, `${text}\n`);
  return path;
}

/**
 * The key of the Operator at `origin`, from when it was met for the first time; `null` before. If it cannot be read, because root made the folder
 * (`sudo codez`), nobody knows that there is none. Throws NotPrivate and errors of the file system.
 */
export function readOperatorKey(origin: string): string | null {
  const path = operatorFile(origin, "key");
  return path === null ? null : readPrivately(path);
}

/** The token that the Operator at `origin` stored for this user; `null` when there is none. Throws NotPrivate. */
export function readOwnerToken(origin: string): string | null {
  return readOwnerTokens(origin)[0]?.token ?? null;
}

/** A token, and the file that has it. */
export type OwnerToken = { readonly token: string; readonly file: string };

/**
 * All tokens that Operators at `origin` stored for this user. Operator may have been started with another `CODEZ_HOME`, so the user's usual
 * folders are searched as well. Throws NotPrivate.
 */
export function readOwnerTokens(origin: string): OwnerToken[] {
  const homes = new Set([codezHome(), join(homedir(), ".codez"), ...accountHome()]);
  return [...homes].flatMap((home) => readToken(origin, home) ?? []);
}

/** `null` also when this user may not read it: it is another user's, whose `HOME` this process has. */
function readToken(origin: string, home: string): OwnerToken | null {
  const file = operatorFile(origin, "token", home);
  if (file === null) return null;
  try {
    const token = readPrivately(file);
    return token ? { token, file } : null;
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "EACCES") return null;
    throw reason;
  }
}

/** The user's home folder according to the system, which may differ from `HOME`. */
function accountHome(): string[] {
  try {
    return [join(userInfo().homedir, ".codez")];
  } catch {
    return []; // the user of a container may have no account
  }
}

/** The text of a file; `null` if there is none. */
function readPrivately(path: string): string | null {
  let file: number;
  try {
    // Refuses links, and does not wait on a pipe.
    file = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  } catch (reason) {
    if (isMissing(reason)) return null;
    if (reason instanceof Error && "code" in reason && (reason.code === "ELOOP" || reason.code === "ENXIO"))
      throw new NotPrivate(path);
    throw reason;
  }
  try {
    const { mode, uid, size } = fstatSync(file);
    const isOwn = process.getuid === undefined || uid === process.getuid();
    const isPrivate = process.platform === "win32" || (mode & 0o077) === 0;
    if (!isOwn || !isPrivate || (mode & constants.S_IFMT) !== constants.S_IFREG || size > MAX_BYTES)
      throw new NotPrivate(path);
    return readFileSync(file, "utf8").trim();
  } finally {
    closeSync(file);
  }
}
