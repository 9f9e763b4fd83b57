import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { isBelow } from "../../../system/folder.ts";

/** Entries that are looked at, which takes half a second. */
const MAX_ENTRIES = 50_000;

/**
 * Whether a link in a folder, or anywhere below it, may lead out of the folder. Of a folder with more entries than are looked at nobody knows, since
 * whoever made it may have put the link behind them.
 *
 * @param folder a real path
 */
export async function mayLeadOut(folder: string, maxEntries = MAX_ENTRIES): Promise<boolean> {
  let left = maxEntries;
  // Level by level: the loop also visits what is appended here.
  const queue = [folder];
  for (const at of queue) {
    // A folder that cannot be read is skipped.
    const entries = await readdir(at, { withFileTypes: true }).catch(() => []);
    left -= entries.length;
    if (left < 0) return true;
    for (const entry of entries) {
      const path = join(at, entry.name);
      if (entry.isDirectory()) queue.push(path);
      if (!entry.isSymbolicLink()) continue;
      const target = await realpath(path).catch(() => null); // leads nowhere, so nothing can be read
      if (target !== null && !isBelow(target, folder)) return true;
    }
  }
  return false;
}
