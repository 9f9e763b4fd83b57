import { execFile } from "node:child_process";
import { arch, availableParallelism, hostname, platform, release, totalmem } from "node:os";
import { promisify } from "node:util";
import type { Facts, Repo } from "#protocol/control.ts";
import { childEnvironment } from "../system/child-environment.ts";
import { withoutCredentials } from "../system/remote-address.ts";
import { someAtOnce } from "#protocol/some-at-once.ts";

const run = promisify(execFile);

/** Git answers within milliseconds. A repository on a dead network drive must not delay the link. */
const GIT_TIMEOUT_MS = 5_000;

/** The maximum number of repositories in `hello` (`Facts.repos`). */
const MAX_REPOS = 200;

/** Repositories that are asked at the same time. Each takes one or two processes of some milliseconds. */
const REPOS_AT_ONCE = 4;

/** The facts about this machine that do not come from its MCP server. */
export function machineFacts(codez: string): Facts {
  return {
    hostname: hostname(),
    os: `${platform()} ${release()}`,
    arch: arch(),
    cpus: availableParallelism(),
    memoryBytes: totalmem(),
    codez,
    agent: null,
    repos: [],
    capabilities: [],
  };
}

/** The git repositories among `folders`, each with its remote and branch. */
export async function reposIn(folders: readonly string[]): Promise<Repo[]> {
  const unique = [...new Set(folders)].slice(0, MAX_REPOS);
  const repos = await someAtOnce(unique, REPOS_AT_ONCE, repoAt);
  return repos.filter((repo) => repo !== null);
}

async function repoAt(folder: string): Promise<Repo | null> {
  const path = await git(folder, "rev-parse", "--show-toplevel");
  if (path === null) return null;
  const [remote, branch] = await Promise.all([
    git(folder, "remote", "get-url", "origin"),
    git(folder, "symbolic-ref", "--short", "HEAD"),
  ]);
  return {
    path,
    ...(remote === null ? {} : { remote: withoutCredentials(remote) }),
    ...(branch === null ? {} : { branch }),
  };
}

/** The output of a git command; `null` without git, a repository, a remote or a branch. */
async function git(folder: string, ...args: string[]): Promise<string | null> {
  try {
    const { stdout } = await run("git", ["-C", folder, ...args], {
      timeout: GIT_TIMEOUT_MS,
      env: childEnvironment(),
    });
    return stdout.trim() || null;
  } catch {
    return null; // every failure means that the fact does not exist
  }
}
