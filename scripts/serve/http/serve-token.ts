import { randomBytes } from "node:crypto";
import { lstat, rm } from "node:fs/promises";
import { readRegularFile } from "../../system/regular-file.ts";
import { isMissing } from "../../system/json-file.ts";
import { writePrivately } from "../../system/atomic-file.ts";

/** 32 random bytes in base64url, as `newToken` makes them. */
const TOKEN = /^[A-Za-z0-9_-]{43}$/;

const MAX_TOKEN_BYTES = 1_024;

/** Of a file's mode: what its group and everybody else may do. */
const OTHERS = 0o077;

export function newToken(): string {
  return randomBytes(32).toString("base64url");
}

/**
 * The token that MCP clients of this machine show, from a file that only its owner can read. It is kept over restarts,
 * so that a client is configured once; removing the file makes a new one at the next start. One that others could have
 * read, or that is not what serve wrote, is replaced.
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
    // Windows has no such bits, and no other user in this one's profile folder.
    const isPrivate = process.platform === "win32" || ((mode & OTHERS) === 0 && uid === process.getuid?.());
    const { text } = await readRegularFile(path, MAX_TOKEN_BYTES);
    return isPrivate && TOKEN.test(text.trim()) ? text.trim() : null;
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
