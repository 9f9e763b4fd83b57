import { readdir } from "node:fs/promises";
import { join } from "node:path";

/** `~/src/<host>/<owner>/<repo>` is as deep as people go. */
const MAX_DEPTH = 4;

/** A folder with more than this is no folder of sources (a home directory, a disk). */
const MAX_FOLDERS = 20_000;

/** Where no repository of a person's own is found, and much else is. */
const SKIPPED = new Set(["node_modules", "vendor", "target", "dist", "build", "Library"]);

/** The git repositories below some folders; one inside another is not looked for. */
export async function scanRepos(roots: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  let queue = roots.map((path) => ({ path, depth: 0 }));
  let looked = 0;
  while (queue.length > 0 && looked < MAX_FOLDERS) {
    const below: typeof queue = [];
    for (const { path, depth } of queue) {
      looked += 1;
      // A folder that can't be read has no repository for us.
      const entries = await readdir(path, { withFileTypes: true }).catch(() => []);
      if (entries.some((entry) => entry.name === ".git")) {
        found.push(path);
        continue;
      }
      if (depth >= MAX_DEPTH) continue;
      for (const entry of entries) {
        const isHidden = entry.name.startsWith(".");
        if (!entry.isDirectory() || isHidden || SKIPPED.has(entry.name)) continue;
        below.push({ path: join(path, entry.name), depth: depth + 1 });
      }
    }
    queue = below;
  }
  return found;
}
