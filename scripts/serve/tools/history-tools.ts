import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { DEFAULT_MESSAGES, DEFAULT_SESSIONS } from "#protocol/coding-tools/session-tools.ts";
import { findSessionFile } from "../history/session-file.ts";
import { readPage, readPart } from "../history/transcript-page.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";

export function historyTools(machine: Machine): Tool[] {
  const { catalog, index, permissions, projects, projectsFolder, sessions } = machine;

  const list = defineTool(CODING_TOOLS.list_sessions, async ({ slug, limit = DEFAULT_SESSIONS, cursor = "0" }) => {
    const rows = await catalog.list(slug);
    if (rows.length === 0 && (await projects.find(slug)) === null) {
      throw new ServeFailure({ code: "project_unknown", project: slug });
    }
    const from = Number(cursor);
    const next = from + limit < rows.length ? String(from + limit) : null;
    return { slug, sessions: rows.slice(from, from + limit), total: rows.length, cursor: next };
  });

  const get = defineTool(
    CODING_TOOLS.get_session,
    async ({ session_id: session, cursor = null, limit = DEFAULT_MESSAGES, handle, offset = 0 }) => {
      const file = await findSessionFile(projectsFolder, session);
      if (handle !== undefined) {
        if (file === null) throw new ServeFailure({ code: "session_unknown", session });
        return { session_id: session, part: await readPart(file.path, handle, offset) };
      }
      if (file === null) await sessions.where(session);
      const empty = { messages: [], cursor: null, unreadableLines: 0 };
      const page = file === null ? empty : await readPage(file.path, cursor, limit);
      return {
        session: await catalog.get(session, file),
        messages: page.messages,
        cursor: page.cursor,
        unreadable_lines: page.unreadableLines,
        pending_permissions: permissions.pending(session).map((request) => show(request, Date.now())),
      };
    },
  );

  const search = defineTool(CODING_TOOLS.search_sessions, async ({ query }) => {
    const [{ sessions: found, filesLeft }, status] = await Promise.all([
      index.askFresh("search", { query }),
      index.ask("status", null),
    ]);
    return {
      sessions: found.map(({ session, slug, title, lastAtMs, matches }) => ({
        session_id: session,
        slug,
        title,
        updated_at_ms: lastAtMs,
        matches: matches.map(({ atMs, ...match }) => ({ at_ms: atMs, ...match })),
      })),
      // Says how much was not searched.
      files_not_indexed: status.filesBehind,
      ...(filesLeft === 0 ? {} : { files_not_searched: filesLeft }),
    };
  });

  return [list, get, search];
}
