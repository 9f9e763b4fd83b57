import { lstat, readdir, realpath } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { ServeFailure } from "../error.ts";
import { pathIn } from "./path-file.ts";

/** Entries of a repository's object store that are looked at. Git packs its objects when there are some 7,000. */
const MAX_ENTRIES = 200_000;

const FOREIGN =
  "this repository takes its objects from outside of it (a link, alternates or another repository's folder), and those are not read from here";

/** Where a repository has its files: HEAD and the index of this working tree, and the objects. Real paths. */
export interface OwnObjects {
  readonly gitFolder: string;
  readonly objects: string;
}

/**
 * Makes sure that git reads objects of this repository only. Files in `.git` can tell git to take them from elsewhere: `commondir`
 * names another repository, `objects/info/alternates` another store, and any folder may be a link. Then all files of a project that
 * the caller may not read would be shown, as deleted here.
 *
 * @param root found by `findRepository`, so a `.git` file points to a folder that belongs to it
 * Throws ServeFailure `git_failed`.
 */
export async function requireOwnObjects(root: string): Promise<OwnObjects> {
  const own = await ownObjects(root);
  if (own === null) throw new ServeFailure({ code: "git_failed", detail: FOREIGN });
  return own;
}

async function ownObjects(root: string): Promise<OwnObjects | null> {
  try {
    const git = join(root, ".git");
    const isPointer = (await lstat(git)).isFile();
    const gitFolder = isPointer ? await realpath(resolve(root, (await pathIn(git, "gitdir: ")) ?? ".")) : git;
    const isShared = (await lstat(join(gitFolder, "commondir")).catch(() => null)) !== null;
    // Only a worktree shares another folder, and it stands in that folder: <common>/worktrees/<name>.
    const worktrees = dirname(gitFolder);
    const common = isShared ? dirname(worktrees) : gitFolder;
    if (isShared) {
      const named = await pathIn(join(gitFolder, "commondir"), "");
      if (!isPointer || basename(worktrees) !== "worktrees" || named === null) return null;
      if ((await realpath(resolve(gitFolder, named))) !== common) return null;
    }
    const tops = await Promise.all([gitFolder, common].map((folder) => readdir(folder, { withFileTypes: true })));
    const objects = join(common, "objects");
    const isOwn = !tops.flat().some((entry) => entry.isSymbolicLink()) && (await isWithoutLinks(objects));
    return isOwn ? { gitFolder, objects } : null;
  } catch (error) {
    // A file that is named and missing. Git does not get to say what it makes of that.
    if (error instanceof Error && "code" in error) return null;
    throw error;
  }
}

async function isWithoutLinks(objects: string): Promise<boolean> {
  const folders = [objects];
  let left = MAX_ENTRIES;
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for (const entry of await readdir(folder, { withFileTypes: true })) {
      left -= 1;
      if (left < 0 || entry.isSymbolicLink() || entry.name.toLowerCase() === "alternates") return false;
      if (entry.isDirectory()) folders.push(join(folder, entry.name));
    }
  }
  return true;
}
