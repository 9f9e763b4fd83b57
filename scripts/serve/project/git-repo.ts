import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readRegularFile } from "../../system/regular-file.ts";
import { withoutCredentials } from "../../system/remote-address.ts";
import { originIn } from "./git-config.ts";

/** `HEAD`, `commondir` and a `.git` file are one line each. A config with hundreds of remotes has a few dozen kilobytes. */
const MAX_GIT_FILE_BYTES = 256 * 1024;

/** Limit for a remote's address and a branch's name. Git itself allows 255 bytes per component of a branch's name. */
const MAX_NAME_CHARS = 1_024;

export interface GitRepo {
  /** The address of `origin`, without any password in it. */
  readonly remote: string | null;
  /** `null` when no branch is checked out. */
  readonly branch: string | null;
}

/**
 * A repository's remote and branch, read from git's own files; `null` for a folder that is not a repository's root. `git` itself is
 * not used, because it takes milliseconds per project, may not be installed, and may run commands from a repository's
 * configuration.
 */
export async function readGitRepo(folder: string): Promise<GitRepo | null> {
  const gitFolder = await gitFolderOf(folder);
  if (gitFolder === null) return null;
  const head = await textOf(join(gitFolder, "HEAD"));
  if (head === null) return null;
  // A worktree has its own HEAD and shares everything else.
  const shared = (await textOf(join(gitFolder, "commondir")))?.trim();
  const config = await textOf(join(shared === undefined ? gitFolder : resolve(gitFolder, shared), "config"));
  return {
    remote: remoteOf(config ?? ""),
    branch: /^ref: refs\/heads\/(.+)$/m.exec(head)?.[1]?.slice(0, MAX_NAME_CHARS) ?? null,
  };
}

async function gitFolderOf(folder: string): Promise<string | null> {
  const path = join(folder, ".git");
  const found = await stat(path).catch(() => null);
  if (found === null) return null;
  if (found.isDirectory()) return path;
  const pointer = /^gitdir: (.+)$/m.exec((await textOf(path)) ?? "")?.[1];
  return pointer === undefined ? null : resolve(dirname(path), pointer);
}

function remoteOf(config: string): string | null {
  const url = originIn(config);
  return url === null ? null : withoutCredentials(url).slice(0, MAX_NAME_CHARS);
}

/** The file's text; `null` when it cannot be read for any reason, because these facts are optional. */
async function textOf(path: string): Promise<string | null> {
  return readRegularFile(path, MAX_GIT_FILE_BYTES).then(
    ({ text }) => text,
    () => null,
  );
}
