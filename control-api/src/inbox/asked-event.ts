import {
  type AskKind,
  ASKED_TYPE,
  MAX_REQUEST_ID_CHARACTERS,
  MAX_RULE_CHARACTERS,
  MAX_SESSION_RULES,
  SETTLED_TYPE,
  Settlement,
} from "#protocol/ask.ts";
import { isRecord } from "#protocol/json.ts";
import { MAX_PATH_CHARACTERS } from "#protocol/limits.ts";
import type { AskContent } from "./inbox-item.ts";
import {
  DEFAULT_WAIT_MS,
  MAX_ANSWERS_CHARACTERS,
  MAX_TOOL_CHARACTERS,
  MAX_WAIT_MS,
  MAX_WHY_CHARACTERS,
} from "./limits.ts";

/** What an event means for the inbox: something waits, something was settled, or a session waits for nothing any more. */
export type InboxNews =
  | { news: "asked"; kind: AskKind; request: string; content: AskContent; waitMs: number }
  | { news: "settled"; request: string; settlement: Settlement }
  | { news: "turn_over" };

const KIND_BY_ASKED: ReadonlyMap<string, AskKind> = new Map(
  Object.entries(ASKED_TYPE).map(([kind, type]) => [type, kind as AskKind]),
);
const SETTLED: ReadonlySet<string> = new Set(Object.values(SETTLED_TYPE));

/** Events after which a session has no turn any more, and so waits for nobody. Servers other than `codez serve` tell no more. */
const TURN_OVER: ReadonlySet<string> = new Set([
  "session.idle",
  "session.error",
  "session.ended",
  "session.deleted",
  "turn.completed",
]);

/**
 * Reads an event for the inbox; `null` if it means nothing for it. A machine wrote it, so each field is checked. Nothing is cut
 * silently: what does not fit its limit makes the request one that is not shown whole.
 */
export function inboxNewsOf(type: string, data: unknown, nowMs: number): InboxNews | null {
  if (TURN_OVER.has(type)) return { news: "turn_over" };
  const kind = KIND_BY_ASKED.get(type);
  if ((kind === undefined && !SETTLED.has(type)) || !isRecord(data)) return null;
  const request = data["request_id"];
  if (typeof request !== "string" || request === "" || request.length > MAX_REQUEST_ID_CHARACTERS) return null;
  return kind === undefined
    ? { news: "settled", request, settlement: settlementIn(data, nowMs) }
    : { news: "asked", kind, request, ...askedIn(data) };
}

function askedIn(data: Record<string, unknown>): { content: AskContent; waitMs: number } {
  const [tool, isToolWhole] = textIn(data["tool"] ?? data["tool_name"], MAX_TOOL_CHARACTERS);
  const [why, isWhyWhole] = textIn(data["why"], MAX_WHY_CHARACTERS);
  const [cwd] = textIn(data["cwd"], MAX_PATH_CHARACTERS);
  const { input = null, asked_at_ms: askedMs, expires_at_ms: expiresMs } = data;
  const waitMs = typeof askedMs === "number" && typeof expiresMs === "number" ? expiresMs - askedMs : DEFAULT_WAIT_MS;
  const isWhole = data["is_whole"] !== false && isToolWhole && isWhyWhole && input !== null;
  return {
    content: {
      tool: tool ?? "unknown",
      why,
      cwd,
      input: JSON.stringify(input),
      isWhole,
      sessionRules: rulesIn(data["session_rules"]),
    },
    waitMs: Number.isFinite(waitMs) ? Math.min(Math.max(waitMs, 0), MAX_WAIT_MS) : DEFAULT_WAIT_MS,
  };
}

/** All rules or none: a person who allows them must have seen each of them in full. */
function rulesIn(value: unknown): string[] {
  if (!Array.isArray(value) || value.length > MAX_SESSION_RULES) return [];
  const isRule = (rule: unknown): rule is string =>
    typeof rule === "string" && rule !== "" && rule.length <= MAX_RULE_CHARACTERS;
  return value.every(isRule) ? value : [];
}

function settlementIn(data: Record<string, unknown>, nowMs: number): Settlement {
  const told = { by: data["settled_by"] ?? "machine", behavior: data["behavior"], atMs: nowMs };
  const rest = { who: data["who"] ?? null, reason: data["reason"] ?? null, answers: data["answers"] ?? null };
  const forSession = data["for_session"] === true;
  // A server that only says that it is over has not allowed anything, as far as can be known.
  return bounded(
    Settlement.safeParse({ ...told, ...rest, forSession }).data ?? {
      behavior: "deny",
      by: "machine",
      reason: null,
      atMs: nowMs,
    },
  );
}

/** A settlement with its texts and its time within their limits. They are for people to read, and nothing is decided by them any more. */
export function bounded({ by, who = null, reason, answers = null, atMs, ...rest }: Settlement): Settlement {
  const short = (text: string, limit: number): string => text.slice(0, limit).toWellFormed();
  return {
    ...rest,
    atMs: Math.min(Math.max(atMs, 0), Date.now()), // by the machine's clock, which may say what no date can be
    by: short(by, MAX_TOOL_CHARACTERS),
    who: who === null ? null : short(who, MAX_TOOL_CHARACTERS),
    reason: reason === null ? null : short(reason, MAX_WHY_CHARACTERS),
    answers: JSON.stringify(answers).length <= MAX_ANSWERS_CHARACTERS ? answers : null,
  };
}

/** A text within its limit, and whether that is all of it. */
function textIn(value: unknown, limit: number): [text: string | null, isWhole: boolean] {
  if (typeof value !== "string" || value === "") return [null, true];
  return value.length <= limit ? [value, true] : [`${value.slice(0, limit - 1).toWellFormed()}…`, false];
}
