import { execFile } from "node:child_process";
import { arch, availableParallelism, hostname, platform, release, totalmem } from "node:os";
import { promisify } from "node:util";
import type { Facts, Repo } from "#protocol/control.ts";
import { childEnvironment } from "../system/child-environment.ts";

const run = promisify(execFile);

/** Git answers in milliseconds; a repository on a dead network drive must not hold up the link. */
const GIT_TIMEOUT_MS = 5_000;

/** Repositories that `hello` names at most (`Facts.repos`). */
const MAX_REPOS = 200;

/** What this machine says of itself, apart from what its server tells. */
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
  const repos = await Promise.all(unique.map((folder) => repoAt(folder)));
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

/** What git says, or `null`: no git, no repository, no remote, a detached head. */
async function git(folder: string, ...args: string[]): Promise<string | null> {
  try {
    const { stdout } = await run("git", ["-C", folder, ...args], {
      timeout: GIT_TIMEOUT_MS,
      env: childEnvironment(),
    });
    return stdout.trim() || null;
  } catch {
    return null; // each of these is a fact that simply isn't there
  }
}

/** A remote's address may hold a token (`https://user:token@host/...`), which is nobody else's business. */
function withoutCredentials(remote: string): string {
  if (!URL.canParse(remote)) return remote; // scp-like `git@host:path`: no password in it
  const url = new URL(remote);
  if (url.password === "" && !url.protocol.startsWith("http")) return remote;
  url.username = "";
  url.password = "";
  return url.href;
}
