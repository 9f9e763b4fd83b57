import type { LoggedEvent } from "#protocol/event.ts";
import { ASKED_TYPE, type AskKind, SETTLED_TYPE } from "#protocol/ask.ts";

/** An event with which a session begins to wait, as `codez serve` writes it. */
export function asked(
  request: string,
  more: Record<string, unknown> = {},
  kind: AskKind = "permission",
): Partial<LoggedEvent> {
  const { session = "s-1", ...data } = more;
  const input = { command: "rm -rf build" };
  return {
    type: ASKED_TYPE[kind],
    session: String(session),
    data: {
      request_id: request,
      kind,
      tool: "Bash",
      why: null,
      cwd: "/home/ann/api",
      input,
      is_whole: true,
      asked_at_ms: 1_000,
      expires_at_ms: 1_000 + 3_600_000,
      ...data,
    },
  };
}

export const QUESTION = { question: "Which database?", options: [{ label: "SQLite" }, { label: "Postgres" }] };

export function questioned(request: string): Partial<LoggedEvent> {
  return asked(
    request,
    { tool: "AskUserQuestion", input: { questions: [QUESTION] }, questions: [QUESTION] },
    "question",
  );
}

/** The event that says how a request was settled. */
export function settled(
  request: string,
  more: Record<string, unknown> = {},
  kind: AskKind = "permission",
): Partial<LoggedEvent> {
  const data = { request_id: request, behavior: "allow", settled_by: "machine", reason: null, ...more };
  return { type: SETTLED_TYPE[kind], session: "s-1", data };
}

/** What `codez serve` answers to a decision that it takes. */
export function taken(behavior: "allow" | "deny", more: Record<string, unknown> = {}): { body: string } {
  const settlement = { behavior, by: "operator", who: "Ann", reason: null, answers: null, atMs: 5_000, ...more };
  return { body: JSON.stringify({ request: { settled: settlement }, already_settled: false }) };
}
