import { sessionHandle } from "../machines/session-handle.ts";
import { inputOf, planOf, questionsOf } from "./asked-input.ts";
import type { InboxItem } from "./inbox-item.ts";
import { settlerText } from "./settler-text.ts";

/** Where a request is in its life. `deciding`: a decision was accepted here and its machine has not answered yet. */
function stateOf(
  { settled, decision, untilMs }: InboxItem,
  nowMs: number,
): "waiting" | "deciding" | "settled" | "expired" {
  if (settled !== null) return "settled";
  if (untilMs <= nowMs) return "expired";
  return decision === null ? "waiting" : "deciding";
}

/** A request as REST and the tools show it, with the names that the machines' own tools use. */
export function inboxView(item: InboxItem, nowMs: number): Record<string, unknown> {
  const { id, machine, session, request, kind, tool, why, cwd, project, title, isWhole } = item;
  const { settled, decision } = item;
  return {
    id,
    kind,
    state: stateOf(item, nowMs),
    machine,
    session_id: session === null ? null : sessionHandle(machine, session),
    slug: project,
    title,
    cwd,
    request_id: request,
    tool,
    why,
    ...askedIn(item),
    input: inputOf(item) ?? null,
    is_whole: isWhole,
    asked_at_ms: item.askedMs,
    expires_at_ms: item.untilMs,
    age_ms: Math.max(0, nowMs - item.askedMs),
    ...(decision === null
      ? {}
      : {
          decision: {
            behavior: decision.behavior,
            by: decision.by.name,
            accepted_at_ms: decision.acceptedMs,
            delivered_at_ms: decision.deliveredMs,
          },
        }),
    ...(settled === null
      ? {}
      : {
          settled: {
            behavior: settled.behavior,
            by: settlerText({ ...item, settled }),
            reason: settled.reason,
            at_ms: settled.atMs,
          },
        }),
  };
}

function askedIn(item: InboxItem): Record<string, unknown> {
  if (item.kind === "question") return { questions: questionsOf(item) };
  return item.kind === "plan" ? { plan: planOf(item) } : {};
}
