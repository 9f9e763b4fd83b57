import { isRecord } from "#protocol/json.ts";
import { MAX_PATH_CHARACTERS, MAX_SLUG_CHARACTERS } from "#protocol/limits.ts";

/** What a session is doing, as far as its events tell. A session of a removed machine is shown as `machine_gone` instead. */
const SESSION_STATES = ["running", "waiting", "idle", "ended"] as const;
export type SessionState = (typeof SESSION_STATES)[number];

/** What is known of a session. Times are in milliseconds since 1970. */
export type SessionFacts = {
  readonly project: string | null;
  readonly cwd: string | null;
  readonly title: string | null;
  readonly state: SessionState;
  readonly agent: string | null;
  readonly startedMs: number;
  readonly lastMs: number;
  readonly lastMessage: string | null;
  readonly costUsd: number | null;
};

/** One line in a list: enough to recognise a session by. */
const MAX_TITLE_CHARACTERS = 120;

/** The last message in one line. */
const MAX_LINE_CHARACTERS = 200;

/** A model's name, or an agent's. */
const MAX_AGENT_CHARACTERS = 64;

/** No session costs a million dollars. A larger number is a mistake, or a machine's joke. */
const MAX_COST_USD = 1_000_000;

export function newSession(atMs: number): SessionFacts {
  const nothing = { project: null, cwd: null, title: null, agent: null, lastMessage: null, costUsd: null };
  return { ...nothing, state: "idle", startedMs: atMs, lastMs: atMs };
}

/**
 * What an event changes about its session. The types are those of `codez serve` and of the public CodeZ; others only show that
 * the session is in use. Everything in an event was written by the machine, so each field is checked and cut to its limit.
 */
export function afterEvent(known: SessionFacts, type: string, data: unknown, atMs: number): SessionFacts {
  const told = isRecord(data) ? data : {};
  const next = { ...known, lastMs: Math.max(known.lastMs, atMs), state: stateAfter(known.state, type, told) };
  switch (type) {
    case "session.created":
    case "session.updated":
      return {
        ...next,
        project: textIn(told["slug"], MAX_SLUG_CHARACTERS) ?? known.project,
        cwd: textIn(told["cwd"], MAX_PATH_CHARACTERS) ?? known.cwd,
        agent: lineIn(told["model"], MAX_AGENT_CHARACTERS) ?? known.agent,
        title: lineIn(told["title"], MAX_TITLE_CHARACTERS) ?? known.title,
      };
    case "permission.requested":
    case "question.asked":
    case "plan.proposed":
      // Of a session of Codex in a terminal nothing else is told.
      return { ...next, cwd: known.cwd ?? textIn(told["cwd"], MAX_PATH_CHARACTERS) };
    case "session.idle":
      return {
        ...next,
        agent: lineIn(told["model"], MAX_AGENT_CHARACTERS) ?? known.agent,
        costUsd: costIn(told["cost_usd"]) ?? known.costUsd,
        lastMessage: lineIn(told["result"], MAX_LINE_CHARACTERS) ?? known.lastMessage,
      };
    case "session.error":
      return {
        ...next,
        costUsd: costIn(told["cost_usd"]) ?? known.costUsd,
        lastMessage: lineIn(told["message"], MAX_LINE_CHARACTERS) ?? known.lastMessage,
      };
    case "message": {
      const line = lineOf(told);
      const isPrompt = told["role"] === "user";
      return {
        ...next,
        title: known.title ?? (isPrompt ? lineIn(line, MAX_TITLE_CHARACTERS) : null),
        lastMessage: line ?? known.lastMessage,
      };
    }
    default:
      return next;
  }
}

function stateAfter(known: SessionState, type: string, told: Record<string, unknown>): SessionState {
  switch (type) {
    case "permission.requested":
    case "question.asked":
    case "plan.proposed":
      return "waiting";
    case "permission.resolved":
    case "question.answered":
    case "plan.resolved":
    case "turn.started":
      return "running";
    case "session.idle":
    case "turn.completed":
      return "idle";
    case "session.error":
      return known === "ended" ? "ended" : "idle";
    case "session.ended":
    case "session.deleted":
      return "ended";
    case "session.updated":
      // A session in a terminal writes to its file also while it waits for a person.
      if (known === "waiting" && told["status"] === "mirror") return known;
      return stateOfStatus(told["status"], told["reason"]) ?? known;
    default:
      return known;
  }
}

/** `status` as `codez serve` has it: `live` has a process and waits for a prompt, `mirror` is open in a terminal. */
function stateOfStatus(status: unknown, reason?: unknown): SessionState | null {
  switch (status) {
    case "busy":
      return "running";
    case "live":
    case "mirror":
      return "idle";
    case "idle":
      return reason === "ended" || reason === "crashed" ? "ended" : "idle";
    default:
      return null;
  }
}

/** What `list_sessions` and `create_session` on the machine report about a session, which may be a new one (`before` is `null`). */
export function afterAnswer(before: SessionFacts | null, told: Record<string, unknown>, nowMs: number): SessionFacts {
  const known = before ?? newSession(nowMs);
  const startedMs = timeIn(told["created_at_ms"], nowMs);
  const lastMs = timeIn(told["updated_at_ms"], nowMs);
  const state = told["busy"] === true ? "running" : stateOfStatus(told["status"]);
  return {
    project: textIn(told["slug"], MAX_SLUG_CHARACTERS) ?? known.project,
    cwd: textIn(told["cwd"], MAX_PATH_CHARACTERS) ?? known.cwd,
    title: lineIn(told["title"], MAX_TITLE_CHARACTERS) ?? known.title,
    // A list does not tell whether a session waits for a person; its events did.
    state: state === null || known.state === "waiting" ? known.state : state,
    agent: lineIn(told["model"], MAX_AGENT_CHARACTERS) ?? known.agent,
    startedMs: startedMs === null ? known.startedMs : Math.min(startedMs, known.startedMs),
    lastMs: before === null ? (lastMs ?? nowMs) : Math.max(known.lastMs, lastMs ?? 0),
    lastMessage: known.lastMessage,
    costUsd: costIn(told["cost_usd"]) ?? known.costUsd,
  };
}

/** The first text of a message in one line, or `null`. */
function lineOf({ parts, text }: Record<string, unknown>): string | null {
  if (Array.isArray(parts))
    for (const part of parts as unknown[])
      if (isRecord(part) && part["type"] === "text") return lineIn(part["text"], MAX_LINE_CHARACTERS);
  return lineIn(text, MAX_LINE_CHARACTERS);
}

/** A text on one line, cut to a length. Only as much of it is read as can be needed. */
function lineIn(value: unknown, limit: number): string | null {
  if (typeof value !== "string") return null;
  const line = value
    .slice(0, limit * 4)
    .replaceAll(/[\s\p{Cc}]+/gu, " ")
    .trim();
  if (line === "") return null;
  return line.length <= limit ? line : `${line.slice(0, limit - 1).toWellFormed()}…`;
}

/** A text that stands for something, such as a path. A longer one is not cut, since it would stand for something else. */
function textIn(value: unknown, limit: number): string | null {
  return typeof value === "string" && value !== "" && value.length <= limit ? value : null;
}

function costIn(value: unknown): number | null {
  return typeof value === "number" && value >= 0 && value <= MAX_COST_USD ? value : null;
}

/** A time by the machine's clock. One in the future is now, so that a wrong clock cannot keep a session on top of the list. */
function timeIn(value: unknown, nowMs: number): number | null {
  return typeof value === "number" && Number.isSafeInteger(value) && value > 0 ? Math.min(value, nowMs) : null;
}
