import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../../system/is-missing.ts";

export interface SessionFile {
  readonly session: string;
  readonly slug: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Session ids are UUIDs. Other entries of a project's folder (`agent-*.jsonl`, `memory/`) are not sessions. */
const SESSION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isSessionId(text: string): boolean {
  return SESSION_ID.test(text);
}

/** Whether a caller's slug can be the name of a folder directly below the projects folder. One with a `/` or `..` cannot. */
export function isSlug(text: string): boolean {
  return /^[a-zA-Z0-9-][a-zA-Z0-9._-]{0,254}$/.test(text) && !text.includes("..");
}

export async function listSlugs(projectsFolder: string): Promise<string[]> {
  const entries = await unlessMissing(readdir(projectsFolder, { withFileTypes: true }));
  return (entries ?? []).flatMap((entry) => (entry.isDirectory() && isSlug(entry.name) ? [entry.name] : []));
}

export async function listSessionFiles(projectsFolder: string, slug: string): Promise<SessionFile[]> {
  if (!isSlug(slug)) return [];
  const names = (await unlessMissing(readdir(join(projectsFolder, slug)))) ?? [];
  const ids = names.flatMap((name) => (name.endsWith(".jsonl") ? [name.slice(0, -".jsonl".length)] : []));
  const files = await Promise.all(ids.filter(isSessionId).map((id) => statSession(projectsFolder, slug, id)));
  return files.filter((file) => file !== null);
}

/** Finds a session's file. Searches every project, because callers pass only the session's id. */
export async function findSessionFile(projectsFolder: string, session: string): Promise<SessionFile | null> {
  if (!isSessionId(session)) return null;
  const slugs = await listSlugs(projectsFolder);
  const found = await Promise.all(slugs.map((slug) => statSession(projectsFolder, slug, session)));
  // A session of a git worktree may exist in two folders. The file that was written last is the current one.
  return found.filter((file) => file !== null).sort((a, b) => b.mtimeMs - a.mtimeMs)[0] ?? null;
}

/** `null` for anything but a regular file. Claude Code creates no links here, and a link could point to any file of the owner. */
async function statSession(projectsFolder: string, slug: string, session: string): Promise<SessionFile | null> {
  const path = join(projectsFolder, slug, `${session}.jsonl`);
  const found = await unlessMissing(lstat(path));
  if (found === null || !found.isFile()) return null;
  return { session, slug, path, sizeBytes: found.size, mtimeMs: found.mtimeMs };
}

async function unlessMissing<T>(reading: Promise<T>): Promise<T | null> {
  try {
    return await reading;
  } catch (error) {
    if (isMissing(error) || (error instanceof Error && "code" in error && error.code === "ENOTDIR")) return null;
    throw error;
  }
}
