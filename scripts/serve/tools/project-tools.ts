import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { ServeFailure } from "../error.ts";
import { isSlug } from "../history/session-file.ts";
import { isMissing } from "../../system/json-file.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { clip } from "../session/clip.ts";

/** Claude Code's own memory files are a few kilobytes; together they should fit one answer. */
const MAX_MEMORY_CHARS = 64 * 1024;
const MAX_MEMORY_FILES = 50;

/** Beside Claude Code's own memory, what a project tells it. */
const PROJECT_FILES = ["CLAUDE.md", "CLAUDE.local.md", ".claude/CLAUDE.md"];

export function projectTools({ projects, projectsFolder, sessions }: Machine): Tool[] {
  const list = defineTool(CODING_TOOLS.list_projects, async () => {
    const live = sessions.all();
    const found = await projects.list();
    return {
      projects: found.map(({ slug, path, sessions: count, lastActiveAtMs, remote, branch }) => ({
        slug,
        path,
        remote,
        branch,
        sessions: count,
        live_sessions: live.filter((session) => session.slug === slug).length,
        last_active_at_ms: lastActiveAtMs,
      })),
    };
  });

  const memory = defineTool(CODING_TOOLS.get_project_memory, async ({ slug }) => {
    const project = isSlug(slug) ? await projects.find(slug) : null;
    if (project === null) throw new ServeFailure({ code: "project_unknown", project: slug });
    const remembered = await memoryFiles(join(projectsFolder, slug, "memory"));
    const { path } = project;
    const own = path === null ? [] : PROJECT_FILES.map((name) => ({ name, path: join(path, name) }));
    const files = (await Promise.all([...remembered, ...own].map(readMemory))).filter((file) => file !== null);
    return { slug, path, files };
  });

  return [list, memory];
}

async function memoryFiles(folder: string): Promise<{ name: string; path: string }[]> {
  try {
    const entries = await readdir(folder, { withFileTypes: true });
    const names = entries.flatMap((entry) => (entry.isFile() && entry.name.endsWith(".md") ? [entry.name] : []));
    const first = names.sort().slice(0, MAX_MEMORY_FILES);
    return first.map((name) => ({ name: `memory/${name}`, path: join(folder, name) }));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function readMemory({ name, path }: { name: string; path: string }): Promise<Record<string, unknown> | null> {
  try {
    const { text, totalChars } = clip(await readFile(path, "utf8"), MAX_MEMORY_CHARS);
    return totalChars === undefined ? { name, path, text } : { name, path, text, total_chars: totalChars };
  } catch (error) {
    if (isMissing(error)) return null;
    throw error;
  }
}
