import { lstat, readdir } from "node:fs/promises";
import { join } from "node:path";
import { isMissing } from "../../system/json-file.ts";

export interface SessionFile {
  readonly session: string;
  readonly slug: string;
  readonly path: string;
  readonly sizeBytes: number;
  readonly mtimeMs: number;
}

/** Session ids are UUIDs; what else lies in a project's folder (`agent-*.jsonl`, `memory/`) is no session. */
const SESSION_ID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i;

export function isSessionId(text: string): boolean {
  return SESSION_ID.test(text);
}

/** A project's folder is named by serve or by `readdir`, never by a caller: a slug with a `/` or `..` is none. */
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

/** Looks in every project: callers name a session by its id alone. */
export async function findSessionFile(projectsFolder: string, session: string): Promise<SessionFile | null> {
  if (!isSessionId(session)) return null;
  const slugs = await listSlugs(projectsFolder);
  const found = await Promise.all(slugs.map((slug) => statSession(projectsFolder, slug, session)));
  // A worktree's session may lie in two folders; the one written last is the one that goes on.
  return found.filter((file) => file !== null).sort((a, b) => b.mtimeMs - a.mtimeMs)[0] ?? null;
}

/** `null` for what is no regular file: Claude Code makes no links here, and one would lead to any file of the owner's. */
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
