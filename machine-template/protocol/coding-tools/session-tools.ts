import * as z from "zod/mini";
import { MAX_PATH_CHARACTERS } from "../limits.ts";
import { ADDS, type CodingTool, READS, REPLACES, RUNS_AGENT } from "./coding-tool.ts";
import { Attachments, Key, Model, PermissionMode, Prompt, SessionId, Slug, SpareSlug } from "./parameter.ts";

/** Sessions in one page of `list_sessions`. */
export const DEFAULT_SESSIONS = 100;
const MAX_SESSIONS = 500;

/** Messages in one page of `get_session`: about as much as a model reads at a time. */
export const DEFAULT_MESSAGES = 50;
const MAX_MESSAGES = 200;

/** A longer query is a document, and no message contains all of its words. */
export const MAX_QUERY_CHARACTERS = 1_000;

/** No message is longer. Without a maximum, the JSON Schema would list JavaScript's largest safe integer. */
const MAX_OFFSET = 1_000_000_000;

export const list_sessions = {
  name: "list_sessions",
  title: "List sessions",
  description:
    "List a project's sessions, newest first: session_id, title, status, model, times, tokens, cost. status: `live` = " +
    "its agent process is running and takes prompts; `idle` = no process, the next prompt resumes it; `mirror` = open in " +
    "a terminal on the machine: read it, or continue it with fork_session. `busy` = a turn is in progress. " +
    "To find a session by what was said in it, use search_sessions.",
  annotations: READS,
  input: z.object({
    slug: Slug,
    limit: z.optional(z.int().check(z.minimum(1), z.maximum(MAX_SESSIONS), z.describe(`Default ${DEFAULT_SESSIONS}.`))),
    cursor: z.optional(
      z.string().check(
        z.refine((cursor) => /^\d{1,15}$/.test(cursor), "not a cursor of list_sessions"),
        z.describe("For older sessions: the previous answer's cursor."),
      ),
    ),
  }),
} satisfies CodingTool;

export const get_session = {
  name: "get_session",
  title: "Read a session",
  description:
    "Read a session: its details, a page of its messages, and what it waits for a person to decide. The first page holds " +
    "the newest messages, oldest first within the page. To follow a session while it works, use poll_events.",
  annotations: READS,
  input: z.object({
    session_id: SessionId,
    slug: SpareSlug,
    cursor: z.optional(z.string().check(z.describe("For older messages: the previous answer's cursor."))),
    limit: z.optional(
      z.int().check(z.minimum(1), z.maximum(MAX_MESSAGES), z.describe(`Messages; default ${DEFAULT_MESSAGES}.`)),
    ),
    handle: z.optional(
      z.string().check(z.describe("One long message part in full: truncated.handle, or that of a search match.")),
    ),
    offset: z.optional(
      z.int().check(z.minimum(0), z.maximum(MAX_OFFSET), z.describe("With handle: the previous answer's next_offset.")),
    ),
  }),
} satisfies CodingTool;

export const get_changes = {
  name: "get_changes",
  title: "Show what changed",
  description:
    "Git diff, by file, of a session's repository since the session began: commits, uncommitted and new files. " +
    "`diff_cut_bytes`: read that file alone with path.",
  annotations: READS,
  input: z.object({
    session_id: SessionId,
    path: z.optional(
      z.string().check(z.minLength(1), z.maxLength(MAX_PATH_CHARACTERS), z.describe("Only this file of the list.")),
    ),
  }),
} satisfies CodingTool;

export const create_session = {
  name: "create_session",
  title: "Create a session",
  description:
    "Start a new coding session and get its session_id. Give either slug (to work in that project's folder) or cwd. With " +
    "prompt the first turn starts immediately; otherwise call send_prompt next. Follow the turn with poll_events. To " +
    "continue an earlier one, use send_prompt.",
  annotations: RUNS_AGENT,
  input: z.object({
    slug: z.optional(Slug),
    cwd: z.optional(z.string().check(z.describe("Absolute path of the folder to work in."))),
    prompt: z.optional(Prompt),
    attachments: Attachments,
    model: Model,
    permission_mode: PermissionMode,
    key: Key,
  }),
} satisfies CodingTool;

export const fork_session = {
  name: "fork_session",
  title: "Fork a session",
  description:
    "Create a session with a copy of this session's conversation, and get its session_id. The original does not " +
    "change. Use it to continue a `mirror` session or to try another way; then call send_prompt.",
  annotations: ADDS,
  input: z.object({ session_id: SessionId, slug: SpareSlug }),
} satisfies CodingTool;

export const abort_session = {
  name: "abort_session",
  title: "Stop the current turn",
  description:
    "Stop the session's current turn and its commands, and drop the prompts queued behind it. The session accepts new " +
    "prompts. `aborted` is false if no turn was running.",
  annotations: REPLACES,
  input: z.object({ session_id: SessionId }),
} satisfies CodingTool;

export const dispose_session = {
  name: "dispose_session",
  title: "End a session's process",
  description:
    "End the session's agent process and all that it started, for example after the error too_many_sessions. The history " +
    "stays; the next prompt resumes it.",
  annotations: REPLACES,
  input: z.object({ session_id: SessionId }),
} satisfies CodingTool;

export const search_sessions = {
  name: "search_sessions",
  title: "Search all sessions",
  description:
    "Full-text search over the messages of all sessions in all projects on the machine. Returns sessions with matching " +
    "snippets; read one with get_session.",
  annotations: READS,
  input: z.object({
    query: z
      .string()
      .check(
        z.minLength(1),
        z.maxLength(MAX_QUERY_CHARACTERS),
        z.describe('Words of one message, e.g. `migration "foreign key"`; the last may be a prefix.'),
      ),
  }),
} satisfies CodingTool;
