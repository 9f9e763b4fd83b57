import { randomBytes } from "node:crypto";
import { lstat, rm } from "node:fs/promises";
import { readRegularFile } from "../../system/regular-file.ts";
import { isMissing } from "../../system/is-missing.ts";
import { writePrivately } from "../../system/atomic-file.ts";

/** 32 random bytes in base64url, as `newToken` makes them. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

const MAX_TOKEN_BYTES = 1_024;

/** The permission bits of group and others in a file's mode. */
const OTHERS = 0o077;

export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * The token for MCP clients on this machine, from a file that only the owner can read. It is kept over restarts, so that a client
 * has to be configured only once. If the file is removed, the next start writes a new one. A file that other users could have
 * read, or that serve did not write, is replaced.
 */
export async function loadToken(path: string): Promise<string> {
  const known = await readToken(path);
  if (known !== null) return known;
  const token = newToken();
  await rm(path, { force: true, recursive: true });
  writePrivately(path, `${token}\n`);
  return token;
}

async function readToken(path: string): Promise<string | null> {
  try {
    const { mode, uid } = await lstat(path);
    // Windows has no such bits. There the file is inside the user's profile folder, which other users cannot read.
    const isPrivate = process.platform === "win32" || ((mode & OTHERS) === 0 && uid === process.getuid?.());
    const { text } = await readRegularFile(path, MAX_TOKEN_BYTES);
    return isPrivate && TOKEN.test(text.trim()) ? text.trim() : null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
