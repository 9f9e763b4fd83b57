import { lstat } from "node:fs/promises";
import { readRegularFile } from "../../system/regular-file.ts";

/** Such a file holds one path. Bytes. */
const MAX_PATH_BYTES = 8 * 1024;

/**
 * The path in a file of git's that holds nothing else (`.git` of a worktree, `commondir`); `null` if it does not hold one that we and
 * git read alike. Git takes everything up to the end for the path, a line break inside it too, and takes bytes that are not UTF-8
 * as they are.
 */
export async function pathIn(file: string, prefix: string): Promise<string | null> {
  if (!(await lstat(file)).isFile()) return null;
  const { text: whole, isCut } = await readRegularFile(file, MAX_PATH_BYTES);
  if (isCut) return null;
  const text = whole.replace(/[\r\n]+$/, "");
  const path = text.slice(prefix.length);
  return text.startsWith(prefix) && path !== "" && !/[\r\n\0\uFFFD]/.test(path) ? path : null;
}
