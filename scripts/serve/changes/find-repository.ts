import { lstat, realpath } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { isBelow } from "../../system/folder.ts";
import { pathIn } from "./path-file.ts";

/** Folders between a session's folder and the root of the disk. No real path has as many. */
const MAX_LEVELS = 64;

/**
 * The root of the git repository that a folder (a real path) is in; `null` if it is in none. It is found by looking for `.git`
 * upwards. git itself could be told by a repository's configuration (`core.worktree`) that another folder is the root, and would then
 * read that.
 *
 * A worktree's `.git` is a file that points to its repository. It counts only if the repository points back, or is a submodule's inside
 * the repository above. Otherwise a file that an agent wrote would let a caller read another project's commits.
 */
export async function findRepository(folder: string): Promise<string | null> {
  let root = folder;
  for (let level = 0; level < MAX_LEVELS; level += 1) {
    const path = join(root, ".git");
    const found = await lstat(path).catch(() => null);
    if (found?.isDirectory() === true) return root;
    if (found?.isFile() === true) return (await isOwn(root, path)) ? root : null;
    if (found !== null || dirname(root) === root) return null;
    root = dirname(root);
  }
  return null;
}

async function isOwn(root: string, pointer: string): Promise<boolean> {
  try {
    const target = await pathIn(pointer, "gitdir: ");
    if (target === null) return false;
    const gitFolder = await realpath(resolve(root, target));
    for (let above = dirname(root); dirname(above) !== above; above = dirname(above))
      if (isBelow(gitFolder, join(above, ".git", "modules"))) return true;
    const back = await pathIn(join(gitFolder, "gitdir"), "");
    return back !== null && (await realpath(resolve(gitFolder, back))) === pointer;
  } catch {
    // A pointer that leads nowhere makes no repository.
    return false;
  }
}
