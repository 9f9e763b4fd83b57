import { listSessionFiles, listSlugs, type SessionFile } from "../history/session-file.ts";
import { readHead } from "../history/head.ts";
import { projectSlugOf } from "../history/project-slug.ts";
import { someAtOnce } from "#protocol/some-at-once.ts";
import { readGitRepo } from "./git-repo.ts";
import { scanRepos } from "./scan.ts";

/** How long a scan's result is used. New repositories are rare, and a scan takes up to a second on a slow disk. */
const SCAN_TTL_MS = 60_000;

/** The same for a caller that names an unknown project, which may just have been cloned. */
const FRESH_SCAN_TTL_MS = 1_000;

/** Sessions whose first lines are read to find a project's path. Almost always the first one has it. */
const MAX_PATH_LOOKS = 20;

/** Projects whose git files are read at the same time. Each has a file open, and a process often may have no more than 256. */
const PROJECTS_AT_ONCE = 32;

export interface Project {
  readonly slug: string;
  /** `null` when no session of the project names it. */
  readonly path: string | null;
  readonly sessions: number;
  readonly lastActiveAtMs: number | null;
  readonly remote: string | null;
  readonly branch: string | null;
  /** Whether the folder is a git repository's root. */
  readonly isRepo: boolean;
}

/** The projects of this machine: where Claude Code has been used, and the repositories of configured folders. */
export class Projects {
  readonly #folder: string;
  readonly #roots: () => readonly string[];
  readonly #paths = new Map<string, string>();
  #scan: { roots: string; atMs: number; repos: Promise<string[]> } | null = null;

  constructor(folder: string, roots: () => readonly string[]) {
    this.#folder = folder;
    this.#roots = roots;
  }

  /** All projects, most recently used first. `isFresh` also finds repositories that have just appeared. */
  async list(isFresh = false): Promise<Project[]> {
    const found = new Map<string, { path: string | null; files: readonly SessionFile[] }>();
    for (const slug of await listSlugs(this.#folder)) {
      const files = await listSessionFiles(this.#folder, slug);
      if (files.length > 0) found.set(slug, { path: await this.#pathOf(slug, files), files });
    }
    for (const path of await this.#repos(isFresh)) {
      const slug = projectSlugOf(path);
      found.set(slug, { path, files: found.get(slug)?.files ?? [] });
    }
    const projects = await someAtOnce([...found], PROJECTS_AT_ONCE, ([slug, { path, files }]) =>
      describe(slug, path, files),
    );
    return projects.sort((a, b) => (b.lastActiveAtMs ?? 0) - (a.lastActiveAtMs ?? 0));
  }

  /** `null` when there is no such project. */
  async find(slug: string): Promise<Project | null> {
    const files = await listSessionFiles(this.#folder, slug);
    const isWanted = (path: string) => projectSlugOf(path) === slug;
    const isFresh = files.length === 0 && !(await this.#repos()).some(isWanted);
    const scanned = (await this.#repos(isFresh)).find(isWanted) ?? null;
    if (files.length === 0 && scanned === null) return null;
    return describe(slug, scanned ?? (await this.#pathOf(slug, files)), files);
  }

  async #pathOf(slug: string, files: readonly SessionFile[]): Promise<string | null> {
    const known = this.#paths.get(slug);
    if (known !== undefined) return known;
    const newestFirst = [...files].sort((a, b) => b.mtimeMs - a.mtimeMs).slice(0, MAX_PATH_LOOKS);
    for (const file of newestFirst) {
      for (const { cwd } of await readHead(file.path)) {
        // A session may change its folder later. The project's folder is the one that the slug was made of.
        if (cwd === undefined || projectSlugOf(cwd) !== slug) continue;
        this.#paths.set(slug, cwd);
        return cwd;
      }
    }
    return null;
  }

  #repos(isFresh = false): Promise<string[]> {
    const roots = this.#roots();
    const key = roots.join("\n");
    const ttlMs = isFresh ? FRESH_SCAN_TTL_MS : SCAN_TTL_MS;
    if (this.#scan?.roots !== key || Date.now() - this.#scan.atMs > ttlMs) {
      this.#scan = { roots: key, atMs: Date.now(), repos: scanRepos(roots) };
    }
    return this.#scan.repos;
  }
}

async function describe(slug: string, path: string | null, files: readonly SessionFile[]): Promise<Project> {
  const repo = path === null ? null : await readGitRepo(path);
  const lastActiveAtMs = files.reduce<number | null>((last, { mtimeMs }) => Math.max(last ?? 0, mtimeMs), null);
  const { remote, branch } = repo ?? { remote: null, branch: null };
  return { slug, path, sessions: files.length, lastActiveAtMs, remote, branch, isRepo: repo !== null };
}
