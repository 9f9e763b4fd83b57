import { readdir, realpath } from "node:fs/promises";
import { join } from "node:path";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { ServeFailure } from "../error.ts";
import { isSlug } from "../history/session-file.ts";
import { isMissing } from "../../system/is-missing.ts";
import { NotRegular, readFileInside } from "../../system/regular-file.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { clip } from "../session/clip.ts";

/** Claude Code's own memory files are a few kilobytes; together they should fit one answer. */
const MAX_MEMORY_CHARS = 64 * 1024;

/** Bytes that are read of one file: enough for that many characters in any language. */
const MAX_MEMORY_BYTES = 4 * MAX_MEMORY_CHARS;
const MAX_MEMORY_FILES = 50;

const NOT_READ =
  "only regular files inside the project are read; this is a link out of it, a device, a pipe or a folder";

/** Files with a project's instructions for Claude Code. */
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
        // A file's modification time has fractions of a millisecond, which are dropped.
        last_active_at_ms: lastActiveAtMs === null ? null : Math.round(lastActiveAtMs),
      })),
    };
  });

  const memory = defineTool(CODING_TOOLS.get_project_memory, async ({ slug }) => {
    const project = isSlug(slug) ? await projects.find(slug) : null;
    if (project === null) throw new ServeFailure({ code: "project_unknown", project: slug });
    const remembered = await memoryFiles(join(projectsFolder, slug));
    const { path } = project;
    const own = path === null ? [] : PROJECT_FILES.map((name) => ({ folder: path, name }));
    const files = (await Promise.all([...remembered, ...own].map(readMemory))).filter((file) => file !== null);
    return { slug, path, files };
  });

  return [list, memory];
}

interface MemoryFile {
  /** The file must be inside this folder after following links. */
  readonly folder: string;
  readonly name: string;
}

async function memoryFiles(folder: string): Promise<MemoryFile[]> {
  try {
    // Claude Code creates the project's folder. A link in its place could lead anywhere.
    if ((await realpath(join(folder, "memory"))) !== join(await realpath(folder), "memory")) return [];
    const entries = await readdir(join(folder, "memory"), { withFileTypes: true });
    const names = entries.flatMap((entry) => (entry.isFile() && entry.name.endsWith(".md") ? [entry.name] : []));
    const first = names.sort().slice(0, MAX_MEMORY_FILES);
    return first.map((name) => ({ folder, name: `memory/${name}` }));
  } catch (error) {
    if (isMissing(error)) return [];
    throw error;
  }
}

async function readMemory({ folder, name }: MemoryFile): Promise<Record<string, unknown> | null> {
  const path = join(folder, name);
  try {
    const { text: read, isCut, bytes } = await readFileInside(folder, name, MAX_MEMORY_BYTES);
    const { text, totalChars } = clip(read, MAX_MEMORY_CHARS);
    if (totalChars === undefined) return { name, path, text };
    return { name, path, text, ...(isCut ? { total_bytes: bytes } : { total_chars: totalChars }) };
  } catch (error) {
    if (isMissing(error)) return null;
    // Reported instead of left out, so that somebody whose CLAUDE.md is a link learns why it is not shown.
    if (error instanceof NotRegular) return { name, path, not_read: NOT_READ };
    throw error;
  }
}
