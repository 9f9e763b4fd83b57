import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { isBelow } from "../../../system/folder.ts";

/** Entries that are looked at, which takes half a second. Of a larger folder, those nearest to it. */
const MAX_ENTRIES = 50_000;

/** git's own files, which nobody searches. */
const REPOSITORY = ".git";

/**
 * Whether a link in a folder, or anywhere below it, leads out of the folder.
 *
 * @param folder a real path
 */
export async function hasOutwardLink(folder: string, maxEntries = MAX_ENTRIES): Promise<boolean> {
  let left = maxEntries;
  // Level by level: the loop also visits what is appended here.
  const queue = [folder];
  for (const at of queue) {
    // A folder that cannot be read is skipped.
    const entries = await readdir(at, { withFileTypes: true }).catch(() => []);
    for (const entry of entries.slice(0, left)) {
      const path = join(at, entry.name);
      if (entry.isDirectory() && entry.name !== REPOSITORY) queue.push(path);
      if (!entry.isSymbolicLink()) continue;
      const target = await realpath(path).catch(() => null); // leads nowhere, so nothing can be read
      if (target !== null && !isBelow(target, folder)) return true;
    }
    left -= entries.length;
    if (left <= 0) return false;
  }
  return false;
}
