import { stat } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { readRegularFile } from "../../system/regular-file.ts";

/** `HEAD`, `commondir` and a `.git` file are a line each; a config with hundreds of remotes is some dozen kilobytes. */
const MAX_GIT_FILE_BYTES = 256 * 1024;

/** Of a remote's address and a branch's name. Git itself takes branches of up to 255 bytes a part. */
const MAX_NAME_CHARS = 1_024;

export interface GitRepo {
  /** Of `origin`, without a password that may be in it. */
  readonly remote: string | null;
  /** `null` when no branch is checked out. */
  readonly branch: string | null;
}

/**
 * What git's own files say; `null` for a folder that is no repository's root. Read and not asked of `git`, which takes
 * milliseconds a project, may be missing, and may run a repository's own configuration.
 */
export async function readGitRepo(folder: string): Promise<GitRepo | null> {
  const gitFolder = await gitFolderOf(folder);
  if (gitFolder === null) return null;
  const head = await textOf(join(gitFolder, "HEAD"));
  if (head === null) return null;
  // A worktree has a HEAD of its own and shares the rest.
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
  const section = /\[remote "origin"\]([^[]*)/.exec(config)?.[1];
  const url = /^\s*url\s*=\s*(.+)$/m.exec(section ?? "")?.[1]?.trim();
  return url?.replace(/^(\w+:\/\/)[^/@]*@/, "$1").slice(0, MAX_NAME_CHARS) ?? null;
}

/** `null` when it can't be read, whatever the reason: facts about a repository are an extra. */
async function textOf(path: string): Promise<string | null> {
  return readRegularFile(path, MAX_GIT_FILE_BYTES).then(
    ({ text }) => text,
    () => null,
  );
}
