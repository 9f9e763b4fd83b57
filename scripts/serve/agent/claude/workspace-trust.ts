import { lstat, realpath } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import * as z from "zod";
import { isBelow } from "../../../system/folder.ts";
import { readRegularFile } from "../../../system/regular-file.ts";

/** Claude Code's state file grows with every project, to several megabytes. */
const MAX_STATE_BYTES = 64 * 1024 * 1024;

/** Files of a repository that can make Claude Code run something: settings with hooks and helpers, and MCP servers. */
const OWN_SETTINGS = [".claude", ".mcp.json"];

/** A repository's own folder, or the file that points to it. */
const REPOSITORY = ".git";

/** Such a file has one path. Bytes. */
const MAX_POINTER_BYTES = 8 * 1024;

const State = z.looseObject({
  projects: z.record(z.string(), z.looseObject({ hasTrustDialogAccepted: z.boolean().optional() })).optional(),
});

/** What of a folder the owner trusts. */
export interface Trust {
  /** Its settings, hooks, MCP servers and instructions. */
  readonly settings: boolean;
  /** The programs in it, and those that its repository names: hooks, filters, a language server's build scripts. */
  readonly programs: boolean;
}

const NONE: Trust = { settings: false, programs: false };

/**
 * What the owner has accepted in Claude Code's trust dialog, or listed in `serve.json`. Without a terminal Claude Code shows no dialog
 * and treats every folder as trusted. A session would then run the hooks, MCP servers and helper commands of a repository that the owner
 * has only cloned.
 *
 * Trust in a folder extends to the folders below it, except those with settings of their own, which the dialog never showed. A worktree
 * has those of its repository: Claude Code loads them from there. For programs, trust does not extend to another repository within the accepted
 * one, such as one that a dependency brings.
 *
 * @param folder a real path
 * @param stateFile Claude Code's `.claude.json`
 */
export async function trustIn(folder: string, stateFile: string, listed: readonly string[]): Promise<Trust> {
  const found = await Promise.all(listed.map((one) => realpath(one).catch(() => [])));
  const own = found.flat(); // a folder that does not exist has no settings
  if (own.some((one) => isBelow(folder, one))) return { settings: true, programs: true };
  const accepted = await acceptedIn(stateFile);
  let isRepositoryBelow = false;
  for (let at = folder; ; at = dirname(at)) {
    if (accepted.has(at)) return { settings: true, programs: !(isRepositoryBelow && (await isInRepository(at))) };
    if (at === dirname(at) || (await hasAny(at, OWN_SETTINGS))) return NONE;
    const repository = await lstat(join(at, REPOSITORY)).catch(() => null);
    if (repository === null) continue;
    if (repository.isDirectory()) isRepositoryBelow = true;
    else if (!(await leadsInto([...accepted, ...own], join(at, REPOSITORY)))) return NONE;
  }
}

/** Whether the `.git` file of a worktree or submodule leads into the repository of one of these folders. */
async function leadsInto(folders: readonly string[], pointer: string): Promise<boolean> {
  try {
    const { text } = await readRegularFile(pointer, MAX_POINTER_BYTES);
    const path = /^gitdir: ([^\r\n]+)\n?$/.exec(text)?.[1];
    const real = path === undefined ? null : await realpath(resolve(dirname(pointer), path));
    return real !== null && folders.some((one) => isBelow(real, join(one, REPOSITORY)));
  } catch {
    // It cannot be read, or leads nowhere.
    return false;
  }
}

async function isInRepository(folder: string): Promise<boolean> {
  if (await hasAny(folder, [REPOSITORY])) return true;
  return dirname(folder) !== folder && isInRepository(dirname(folder));
}

async function acceptedIn(stateFile: string): Promise<ReadonlySet<string>> {
  let projects: z.infer<typeof State>["projects"];
  try {
    const { text } = await readRegularFile(stateFile, MAX_STATE_BYTES);
    projects = State.parse(JSON.parse(text)).projects;
  } catch {
    // The file does not exist or cannot be read, so no folder counts as accepted.
  }
  const accepted = Object.entries(projects ?? {}).filter(([, project]) => project.hasTrustDialogAccepted === true);
  return new Set(accepted.map(([path]) => path));
}

async function hasAny(folder: string, names: readonly string[]): Promise<boolean> {
  for (const name of names) {
    if (await lstat(join(folder, name)).catch(() => null)) return true;
  }
  return false;
}
