import * as z from "zod";
import { findSessionFile } from "../history/session-file.ts";
import { readPage, readPart } from "../history/transcript-page.ts";
import { ServeFailure } from "../error.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";
import { SessionId } from "./input.ts";

/** Of sessions and of messages; a list is to be looked through, not to be kept. */
const DEFAULT_SESSIONS = 100;
const MAX_SESSIONS = 500;
const DEFAULT_MESSAGES = 50;
const MAX_MESSAGES = 200;

export function historyTools(machine: Machine): Tool[] {
  const { catalog, index, permissions, projects, projectsFolder, sessions } = machine;

  const list = defineTool({
    name: "list_sessions",
    title: "List sessions",
    description:
      "The sessions of a project, newest first: title, status, model, times, tokens and cost so far. Status is `live` " +
      "(driven from here), `mirror` (open in a terminal on the machine: watch or fork it) or `idle` (a prompt resumes it).",
    kind: "reads",
    input: z.object({
      slug: z.string().describe("Project, as list_projects names it"),
      limit: z.int().min(1).max(MAX_SESSIONS).optional(),
      cursor: z.string().regex(/^\d+$/).optional().describe("From an earlier answer, for older sessions"),
    }),
    call: async ({ slug, limit = DEFAULT_SESSIONS, cursor = "0" }) => {
      const rows = await catalog.list(slug);
      if (rows.length === 0 && (await projects.find(slug)) === null) {
        throw new ServeFailure({ code: "project_unknown", project: slug });
      }
      const from = Number(cursor);
      const next = from + limit < rows.length ? String(from + limit) : null;
      return { slug, sessions: rows.slice(from, from + limit), total: rows.length, cursor: next };
    },
  });

  const get = defineTool({
    name: "get_session",
    title: "Read a session",
    description:
      "A session's facts and a page of what was said, the newest page first; within a page, in order. `cursor` of an " +
      "answer gives the page before it. A long part is cut short and has a `handle`: pass it, with `offset`, for the rest.",
    kind: "reads",
    input: z.object({
      session_id: SessionId,
      slug: z.string().optional().describe("Not needed: a session's id is enough"),
      cursor: z.string().optional(),
      limit: z.int().min(1).max(MAX_MESSAGES).optional(),
      handle: z.string().optional(),
      offset: z.int().min(0).optional(),
    }),
    call: async ({ session_id: session, cursor = null, limit = DEFAULT_MESSAGES, handle, offset = 0 }) => {
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
  });

  const search = defineTool({
    name: "search_sessions",
    title: "Search all sessions",
    description:
      "Full-text search in everything that was said in any session of this machine, recent and good matches first. " +
      'All words must be in one message; the last may be the beginning of a word; "quoted words" are a phrase.',
    kind: "reads",
    input: z.object({ query: z.string().min(1).max(1_000) }),
    call: async ({ query }) => {
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
        // Honest about what was not looked at.
        files_not_indexed: status.filesBehind,
        ...(filesLeft === 0 ? {} : { files_not_searched: filesLeft }),
      };
    },
  });

  return [list, get, search];
}
