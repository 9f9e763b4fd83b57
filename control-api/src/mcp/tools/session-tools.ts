import type { CallToolResult } from "@modelcontextprotocol/server";
import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { MAX_QUERY_CHARACTERS } from "#protocol/coding-tools/session-tools.ts";
import { detailsOf, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import { someAtOnce } from "#protocol/some-at-once.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import type { IndexedSessions, SessionListQuery } from "../../history/session-query.ts";
import { handlesInValue } from "../../machines/session-ids.ts";
import { indexedSessionView } from "../../machines/session-view.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { callTool } from "./relayed-call.ts";
import { relayAndLearn } from "./session-relay.ts";
import { invalid, machineOf, type Tool, type ToolCall } from "./tool.ts";

/** Sessions in one page of the list over all machines: a model reads each of them. */
const PAGE_SESSIONS = 50;
const MAX_PAGE_SESSIONS = 200;

/** Machines that are searched at the same time. Each answer is held in memory, up to `MAX_SEARCH_BYTES`. */
const SEARCHED_AT_ONCE = 32;

/** The answer of one machine to a search. A full page of `codez serve` has 30 KB. */
const MAX_SEARCH_BYTES = 256 * 1024;

/** A machine that takes longer is named among those that did not answer. Clients give a tool call 60 s. Milliseconds. */
const SEARCH_MS = 10_000;

/** Sessions that a search over all machines answers with, the best of each machine first. */
const MAX_FOUND = 50;

/** Machines that did not answer and are named with the reason. The others are counted. */
const MAX_UNANSWERED = 20;

const STATES = ["running", "waiting", "idle", "ended", "machine_gone"] as const;

const LIST = inputSchemaOf(CODING_TOOLS.list_sessions).properties;
const SEARCH = inputSchemaOf(CODING_TOOLS.search_sessions).properties;

/** The tools about sessions that work over all machines when they are not told one. */
export const SESSION_TOOLS: readonly Tool[] = [
  {
    definition: {
      name: "list_sessions",
      title: CODING_TOOLS.list_sessions.title,
      annotations: CODING_TOOLS.list_sessions.annotations,
      description:
        "List sessions of all machines, also offline and removed ones, newest first, as last seen. state " +
        "`waiting`: for a person. With machineId and slug: all of that project, from the machine itself; there status " +
        "`live` = takes prompts, `idle` = the next prompt resumes it, `mirror` = open in a terminal: read it or use " +
        "fork_session.",
      inputSchema: {
        type: "object",
        properties: {
          machineId: { type: "string", description: "Only this machine." },
          slug: { type: "string", description: "Only this project." },
          state: { type: "string", enum: [...STATES] },
          limit: { type: "integer", description: `Default ${PAGE_SESSIONS}.` },
          cursor: LIST["cursor"] ?? {},
        },
      },
    },
    run: listSessions,
  },
  {
    definition: {
      name: "search_sessions",
      title: CODING_TOOLS.search_sessions.title,
      annotations: CODING_TOOLS.search_sessions.annotations,
      description:
        "Full-text search over the messages of all sessions, on machineId or all online machines. Of other machines it " +
        "finds titles. `unanswered`: machines that did not answer in time. Read one with get_session.",
      inputSchema: {
        type: "object",
        properties: { query: SEARCH["query"] ?? {}, machineId: { type: "string", description: "Only this machine." } },
        required: ["query"],
      },
    },
    run: searchSessions,
  },
];

async function listSessions(call: ToolCall): Promise<CallToolResult> {
  const { slug, state = null, limit = PAGE_SESSIONS, cursor = null } = call.args;
  if (slug !== undefined && typeof slug !== "string") invalid("slug must be a project's slug, as a string.");
  const machine = call.args["machineId"] === undefined ? null : machineOf(call);
  const isOwnCursor = typeof cursor !== "string" || cursor.includes("-");
  if (machine !== null && slug !== undefined && state === null && isOwnCursor === (cursor === null))
    try {
      return await relayAndLearn(call, machine, withoutMachine(call), null);
    } catch (reason) {
      // The list of a machine that cannot be asked is what was seen of it before.
      if (!(reason instanceof OperatorFailure) || cursor !== null || !isAway(reason.error.code)) throw reason;
    }
  if (state !== null && !(STATES as readonly unknown[]).includes(state))
    invalid(`state must be one of ${STATES.join(", ")}.`);
  if (typeof limit !== "number" || !Number.isInteger(limit) || limit < 1 || limit > MAX_PAGE_SESSIONS)
    return invalid(`limit must be a whole number from 1 to ${MAX_PAGE_SESSIONS}.`);
  const query: SessionListQuery = {
    visible: call.caller.computers,
    machine,
    project: slug ?? null,
    state: state as SessionListQuery["state"],
    words: [],
    before: placeIn(cursor),
    limit,
  };
  const found: IndexedSessions = await registryOf(call.env, call.caller.user).listSessions(query);
  if (machine !== null && !found.isKnown) throw new OperatorFailure({ code: "machine_unknown", machine });
  return structuredResult({
    sessions: found.sessions.map(indexedSessionView),
    cursor: found.next === null ? null : `${found.next.lastMs.toString(36)}-${found.next.id.toString(36)}`,
  });
}

function withoutMachine({ args }: ToolCall): Record<string, unknown> {
  const { machineId: _, ...rest } = args;
  return rest;
}

/** Whether an error says that the machine cannot be asked, so that what was seen of it before is the best answer. */
export function isAway(code: string): boolean {
  return ["machine_offline", "machine_unknown", "machine_starting", "machine_timeout", "link_lost"].includes(code);
}

function placeIn(cursor: unknown): SessionListQuery["before"] {
  if (cursor === null) return null;
  const [, lastMs, id] = /^([0-9a-z]{1,11})-([0-9a-z]{1,11})$/.exec(String(cursor)) ?? [];
  if (lastMs === undefined || id === undefined)
    return invalid("This is not a cursor of list_sessions. Leave it out to start again.");
  return { lastMs: Number.parseInt(lastMs, 36), id: Number.parseInt(id, 36) };
}

type Searched = { readonly machine: string; readonly sessions: Record<string, unknown>[] };
type Unanswered = { readonly machine: string } & ReturnType<typeof detailsOf>;
type Outcome = { readonly found?: Searched; readonly failed?: Unanswered };

async function searchSessions(call: ToolCall): Promise<CallToolResult> {
  const { query } = call.args;
  if (call.args["machineId"] !== undefined) return relayAndLearn(call, machineOf(call), withoutMachine(call), null);
  // Each machine gets a copy, and 32 of them at once.
  if (typeof query !== "string" || query === "" || query.length > MAX_QUERY_CHARACTERS)
    return invalid(`query must be the words to look for, as a string of at most ${MAX_QUERY_CHARACTERS} characters.`);
  const registry = registryOf(call.env, call.caller.user);
  const online: string[] = await registry.onlineMachines(call.caller.computers);
  const signal = AbortSignal.any([call.signal, AbortSignal.timeout(SEARCH_MS)]);
  const [answers, titles]: [(Outcome | null)[], IndexedSessions] = await Promise.all([
    someAtOnce(online, SEARCHED_AT_ONCE, (name) =>
      searchOne({ ...call, signal, answerBytes: MAX_SEARCH_BYTES }, name, query),
    ),
    registry.listSessions({
      visible: call.caller.computers,
      machine: null,
      project: null,
      state: null,
      words: query
        .split(/[\s"]+/)
        .filter((word) => word !== "")
        .slice(0, 20),
      before: null,
      limit: MAX_PAGE_SESSIONS,
    }),
  ]);
  const answered = answers.flatMap((one) => one?.found ?? []);
  const unanswered = answers.flatMap((one) => one?.failed ?? []);
  const names = new Set(answered.map(({ machine }) => machine));
  const byTitle = titles.sessions.filter(({ machine, status }) => status !== "online" || !names.has(machine));
  return structuredResult({
    sessions: byRank(answered.map(({ sessions }) => sessions)).slice(0, MAX_FOUND),
    by_title: byTitle.slice(0, MAX_FOUND).map(indexedSessionView),
    unanswered: unanswered.slice(0, MAX_UNANSWERED),
    ...(unanswered.length > MAX_UNANSWERED ? { more_unanswered: unanswered.length - MAX_UNANSWERED } : {}),
  });
}

/** One machine's matches with handles; `null` for a machine that has no such tool, because it is no coding machine. */
async function searchOne(call: ToolCall, machine: string, query: string): Promise<Outcome | null> {
  try {
    const result = await callTool(call, machine, "search_sessions", { query });
    const { structuredContent, content, isError } = result;
    const first = content?.[0];
    // Parsed first and then given handles. In a text, a key that is spelt with an escape would keep the id that it has.
    const plain = structuredContent ?? (first?.type === "text" ? parseJson(first.text) : null);
    const told = handlesInValue(plain, machine, new Set());
    const sessions = isRecord(told) && Array.isArray(told["sessions"]) ? (told["sessions"] as unknown[]) : null;
    if (isError === true || sessions === null)
      return failedWith({ code: "machine_failed", machine, reason: "its search failed" }, machine);
    // More of one machine are not shown. A hostile one sends tens of thousands, and ranking takes as many steps for each machine.
    const shown = sessions.filter(isRecord).slice(0, MAX_FOUND);
    return { found: { machine, sessions: shown.map((session) => ({ ...session, machine })) } };
  } catch (reason) {
    if (!(reason instanceof OperatorFailure)) {
      const failed = reason instanceof Error ? reason.message : String(reason);
      return failedWith({ code: "machine_failed", machine, reason: failed.slice(0, MAX_REASON_CHARACTERS) }, machine);
    }
    if (reason.error.code === "tool_unknown") return null;
    const isLate = call.signal.aborted;
    return failedWith(isLate ? { code: "machine_timeout", machine, afterMs: SEARCH_MS } : reason.error, machine);
  }
}

function failedWith(error: OperatorError, machine: string): Outcome {
  return { failed: { ...detailsOf(error), machine } };
}

/** The first of each list, then the second of each, and so on: each machine ranks its own sessions. */
function byRank(lists: readonly Searched["sessions"][]): Searched["sessions"] {
  const longest = Math.max(0, ...lists.map(({ length }) => length));
  return Array.from({ length: longest }, (_, rank) => rank).flatMap((rank) =>
    lists.flatMap((list) => list.slice(rank, rank + 1)),
  );
}
