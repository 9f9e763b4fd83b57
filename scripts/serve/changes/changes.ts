import { realpath } from "node:fs/promises";
import { ServeFailure } from "../error.ts";
import { type ChangedFile, changedFilesIn, type FileStatus } from "./changed-file.ts";
import { findRepository } from "./find-repository.ts";
import { git, gitText, type GitRun } from "./git.ts";
import { requireOwnObjects } from "./own-objects.ts";
import { type PatchSection, patchSections } from "./patch-sections.ts";
import { withSettledConfig } from "./settled-config.ts";
import { readUntracked, untrackedNames } from "./untracked-files.ts";

/** Files of one answer. Nobody reads more diffs than that, and the whole answer stays below a megabyte. */
const MAX_FILES = 300;

/** Bytes of one file's diff, and of one that was asked for by its path: some 400 and some 6,000 lines. */
const FILE_BYTES = 16 * 1024;
const ONE_FILE_BYTES = 256 * 1024;

/** Bytes of all diffs in one answer. */
const ALL_BYTES = 256 * 1024;

/** All of git's work for one answer. Pages wait for 8 s. Milliseconds. */
const GIT_MS = 6_000;

/** git's list of files: names and counts of some 50,000. Bytes. */
const LIST_BYTES = 8 * 1024 * 1024;

/** A patch is read up to here, for the diffs of files that come late in it. Bytes. */
const PATCH_BYTES = 64 * 1024 * 1024;

/** One commit's id, or a count. Bytes. */
const LINE_BYTES = 4 * 1024;

/** Commits since a session began are counted up to this number. */
const MAX_COMMITS = 1_000;

/** Options that make git's output the same whatever its configuration, and run no program of the repository. */
const DIFF = [
  "diff",
  "--no-ext-diff",
  "--no-textconv",
  "--no-color",
  "--no-relative",
  "--find-renames",
  "--unified=3",
  "--inter-hunk-context=0",
  "--diff-algorithm=default",
  // What is inside a submodule is not looked at: there, its own configuration would count.
  "--ignore-submodules=dirty",
  "--submodule=short",
  "--src-prefix=a/",
  "--dst-prefix=b/",
];

/** A file that changed, with as much of its diff as fits. */
export interface FileChanges {
  readonly path: string;
  readonly oldPath: string | null;
  readonly status: FileStatus;
  readonly modes: readonly [before: string, after: string] | null;
  readonly additions: number | null;
  readonly deletions: number | null;
  readonly isBinary: boolean;
  /** Unified diff from its first `@@` on; `null` if there is none, or none was read. */
  readonly diff: string | null;
  /** Bytes of the diff that are left out at its end. */
  readonly cutBytes: number;
}

export interface Changes {
  readonly root: string;
  /** The commit that is compared with; `null`: there was none yet, so everything is new. */
  readonly base: string | null;
  /** Commits since then, up to `MAX_COMMITS`. */
  readonly commits: number;
  readonly files: readonly FileChanges[];
  readonly fileCount: number;
  /** Whether there may be even more files than `fileCount`. */
  readonly isCountCut: boolean;
  /** Whether diffs are missing because they are too large altogether. */
  readonly isIncomplete: boolean;
}

export interface ChangesQuery {
  /** The session's folder, which exists and may be read. */
  readonly folder: string;
  /** Since when; `null`: since the last commit. Milliseconds since 1970. */
  readonly sinceMs: number | null;
  /** Only this file, with more of its diff. */
  readonly path: string | null;
  /** The folder of codez's own files. */
  readonly home: string;
  readonly signal: AbortSignal;
}

/**
 * What changed in a session's repository since the session began: in commits, in the working tree, and new files in the session's
 * folder. Somebody else's changes in the same folder are among them, since nobody can tell them apart. `null` if the folder is in no git
 * repository. Throws ServeFailure `git_failed`.
 */
export async function readChanges({ folder, sinceMs, path, home, signal }: ChangesQuery): Promise<Changes | null> {
  const place = await realpath(folder);
  const root = await findRepository(place);
  if (root === null) return null;
  const own = await requireOwnObjects(root);
  const run: GitRun = { root, signal: AbortSignal.any([signal, AbortSignal.timeout(GIT_MS)]) };
  // Only comparing with the working tree takes filters. The rest of the repository's configuration names no program that git runs here.
  const settled = await withSettledConfig(run, own, home);
  const base = await baseCommit(run, sinceMs);
  const from = base ?? (await emptyTree(run));
  const [list, untracked, commits] = await Promise.all([
    gitText([...DIFF, "--raw", "--numstat", "-z", from, "--"], settled, LIST_BYTES),
    untrackedNames(place, run),
    countCommits(run, base),
  ]);
  const tracked = changedFilesIn(list.text);
  const isWanted = (name: string): boolean => path === null || name === path;
  const shown = tracked.filter((file) => isWanted(file.path)).slice(0, MAX_FILES);
  const names = untracked.names.filter(isWanted).slice(0, MAX_FILES - shown.length);
  const fileBytes = path === null ? FILE_BYTES : ONE_FILE_BYTES;
  const diffs =
    shown.length === 0 || list.isCut ? null : await patchOf(settled, from, tracked, new Set(shown), fileBytes);
  const budget = { left: ALL_BYTES };
  const files = shown.map((file) => within(budget, trackedChanges(file, diffs?.get(file) ?? null)));
  for (const name of names) files.push(within(budget, await untrackedChanges(root, name, fileBytes)));
  return {
    root,
    base,
    commits,
    files,
    fileCount: path === null ? tracked.length + untracked.names.length : files.length,
    isCountCut: list.isCut || untracked.isMore,
    isIncomplete: (shown.length > 0 && diffs === null) || budget.left <= 0,
  };
}

/** The newest commit that is not newer than a time, on the branch that is checked out; `null` if there is none. */
async function baseCommit(run: GitRun, sinceMs: number | null): Promise<string | null> {
  const head = await commitIn(["rev-parse", "--verify", "--quiet", "HEAD^{commit}"], run);
  if (head === null || sinceMs === null) return head;
  const before = `--before=@${Math.floor(sinceMs / 1_000)} +0000`;
  return commitIn(["rev-list", "--max-count=1", "--first-parent", before, head], run);
}

async function commitIn(args: readonly string[], run: GitRun): Promise<string | null> {
  try {
    const { text } = await gitText(args, run, LINE_BYTES);
    return /^[0-9a-f]{40,64}$/.exec(text.trim())?.[0] ?? null;
  } catch (error) {
    // `rev-parse --quiet` says nothing where nothing was committed yet.
    if (error instanceof ServeFailure && error.error.code === "git_failed" && !run.signal.aborted) {
      if (args[0] === "rev-parse" && !error.error.detail.includes("fatal:")) return null;
    }
    throw error;
  }
}

/** The id of the tree without files, which depends on the repository's hash. */
async function emptyTree(run: GitRun): Promise<string> {
  return (await gitText(["hash-object", "-t", "tree", "--stdin"], run, LINE_BYTES)).text.trim();
}

async function countCommits(run: GitRun, base: string | null): Promise<number> {
  if (base === null) return 0;
  const { text } = await gitText(
    ["rev-list", "--count", `--max-count=${MAX_COMMITS}`, `${base}..HEAD`],
    run,
    LINE_BYTES,
  );
  return Number(text.trim());
}

type Diffs = ReadonlyMap<ChangedFile, PatchSection>;

/** The diffs of some of the changed files; `null` if the patch is not about these files: they changed meanwhile. */
async function patchOf(
  run: GitRun,
  from: string,
  all: readonly ChangedFile[],
  wanted: ReadonlySet<ChangedFile>,
  fileBytes: number,
): Promise<Diffs | null> {
  const owners = all.flatMap((file) => Array.from({ length: file.sections }, () => file));
  const keep = (section: number): number => {
    const owner = owners[section];
    return owner !== undefined && wanted.has(owner) ? fileBytes : 0;
  };
  const { sections, isWhole } = await patchSections(git([...DIFF, "--patch", from, "--"], run), keep, PATCH_BYTES);
  if (isWhole && sections.length !== owners.length) return null;
  const diffs = new Map<ChangedFile, PatchSection>();
  for (const [index, { text, cutBytes }] of sections.entries()) {
    const owner = owners[index];
    if (owner === undefined) return null;
    const before = diffs.get(owner) ?? { text: "", cutBytes: 0 };
    diffs.set(owner, { text: before.text + hunksIn(text), cutBytes: before.cutBytes + cutBytes });
  }
  return diffs;
}

/** A section from its first `@@` on. What stands before is told in fields. */
function hunksIn(section: string): string {
  const at = section.indexOf("\n@@ ");
  return at < 0 ? "" : section.slice(at + 1);
}

function trackedChanges(file: ChangedFile, section: PatchSection | null): FileChanges {
  const { path, oldPath, status, modes, additions, deletions, isBinary } = file;
  const diff = section === null || section.text === "" ? null : section.text;
  return { path, oldPath, status, modes, additions, deletions, isBinary, diff, cutBytes: section?.cutBytes ?? 0 };
}

async function untrackedChanges(root: string, name: string, maxBytes: number): Promise<FileChanges> {
  const read = await readUntracked(root, name, maxBytes);
  return { path: name, oldPath: null, status: "untracked", modes: null, deletions: 0, ...read };
}

/** Leaves out a diff that does not fit into the answer any more. */
function within(budget: { left: number }, file: FileChanges): FileChanges {
  if (file.diff === null) return file;
  const bytes = Buffer.byteLength(file.diff);
  budget.left -= bytes;
  return budget.left >= 0 ? file : { ...file, diff: null, cutBytes: file.cutBytes + bytes };
}
