import { constants } from "node:fs";
import { open, readlink, realpath, stat, type FileHandle } from "node:fs/promises";
import { join } from "node:path";
import { isBelow } from "./folder.ts";

/**
 * Flags for opening files that others have written: a repository, a model, another program. Without O_NONBLOCK, opening a named
 * pipe waits for a writer and blocks one of Node's four file threads. Only regular files are read, because a device
 * (`/dev/zero`) has no end.
 */
const FLAGS = constants.O_RDONLY | constants.O_NONBLOCK;

/** Thrown instead of reading a link, a folder, a pipe, a socket or a device, or a file outside its folder. */
export class NotRegular extends Error {
  override readonly name = "NotRegular";
}

export interface Content {
  readonly text: string;
  readonly isCut: boolean;
  /** Size of the whole file. */
  readonly bytes: number;
}

/** Opens a regular file, but not a link to one. The caller closes it. Throws NotRegular or a system error. */
export async function openRegularFile(path: string): Promise<FileHandle> {
  try {
    return await checked(await open(path, FLAGS | constants.O_NOFOLLOW), path);
  } catch (error) {
    if (isCode(error, "ELOOP")) throw new NotRegular(`${path} is a link`, { cause: error });
    if (isCode(error, "ENXIO")) throw new NotRegular(`${path} is a socket or a pipe`, { cause: error });
    throw error;
  }
}

/** Reads the beginning of a regular file, up to `maxBytes`. Follows links. Throws NotRegular or a system error. */
export async function readRegularFile(path: string, maxBytes: number): Promise<Content> {
  return readWhole(await checked(await open(path, FLAGS), path), maxBytes);
}

/**
 * The same for a file that must be inside a folder after following all links: `CLAUDE.md` may be a link to `AGENTS.md` beside it,
 * but not to a key in the home folder. Throws NotRegular or a system error.
 */
export async function readFileInside(folder: string, name: string, maxBytes: number): Promise<Content> {
  const [root, real] = await Promise.all([realpath(folder), realpath(join(folder, name))]);
  if (!isBelow(real, root)) throw new NotRegular(`${join(folder, name)} leads out of ${folder}`);
  const file = await openRegularFile(real);
  try {
    // A folder in the path may have been replaced by a link in the meantime.
    if (!isBelow(await placeOf(file, real), root)) throw new NotRegular(`${real} leads out of ${folder}`);
  } catch (error) {
    await file.close();
    throw error;
  }
  return readWhole(file, maxBytes);
}

async function checked(file: FileHandle, path: string): Promise<FileHandle> {
  if ((await file.stat()).isFile()) return file;
  await file.close();
  throw new NotRegular(`${path} is not a regular file`);
}

/** The real path of an open file. Linux reports it; elsewhere the path must still lead to the same file. */
async function placeOf(file: FileHandle, path: string): Promise<string> {
  if (process.platform === "linux") return readlink(`/proc/self/fd/${file.fd}`);
  const [opened, now] = await Promise.all([file.stat(), stat(path)]);
  return opened.ino === now.ino && opened.dev === now.dev ? realpath(path) : "";
}

async function readWhole(file: FileHandle, maxBytes: number): Promise<Content> {
  try {
    const { size } = await file.stat();
    const buffer = Buffer.alloc(Math.min(size, maxBytes));
    let length = 0;
    while (length < buffer.length) {
      const { bytesRead } = await file.read(buffer, length, buffer.length - length, length);
      if (bytesRead === 0) break;
      length += bytesRead;
    }
    return { text: buffer.toString("utf8", 0, length), isCut: size > maxBytes, bytes: size };
  } finally {
    await file.close();
  }
}

function isCode(error: unknown, code: string): boolean {
  return error instanceof Error && "code" in error && error.code === code;
}
