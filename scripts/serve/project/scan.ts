import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** Depth of the search: `~/src/<host>/<owner>/<repo>` is the deepest common layout. */
const MAX_DEPTH = 4;

/** A folder with more folders than this is a home directory or a whole disk, and not a folder of sources. */
const MAX_FOLDERS = 20_000;

/** Large folders that never contain a person's own repositories. */
const SKIPPED = new Set(["node_modules", "vendor", "target", "dist", "build", "Library"]);

/** The git repositories below some folders. Repositories inside another repository are not searched for. */
export async function scanRepos(roots: readonly string[], maxFolders = MAX_FOLDERS): Promise<string[]> {
  const found: string[] = [];
  // Level by level: the loop also visits what is appended here. So the length of the queue is the number of folders that are read.
  const queue = roots.map((path) => ({ path, depth: 0 }));
  for (const { path, depth } of queue) {
    // A folder that cannot be read is skipped.
    const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
    if (entries.some((entry) => entry.name === ".git")) {
      found.push(path);
      continue;
    }
    if (depth >= MAX_DEPTH) continue;
    for (const entry of entries) {
      const isHidden = entry.name.startsWith(".");
      if (!entry.isDirectory() || isHidden || SKIPPED.has(entry.name)) continue;
      if (queue.length >= maxFolders) break;
      queue.push({ path: join(path, entry.name), depth: depth + 1 });
    }
  }
  return found;
}
