import { isRecord, parseJson } from "#protocol/json.ts";
import type { DeliveryRecord } from "./delivery.ts";

/** The reason of a refusal is a sentence or two. It is also part of an event. */
const MAX_REFUSAL_CHARACTERS = 500;

/** A delivery as clients see it: what is known to have happened, and when. */
export function deliveryView(record: DeliveryRecord): Record<string, unknown> {
  const { key, machine, tool, state, isQueued, attempts, acceptedMs, untilMs, deliveredMs, consumedMs, endedMs } =
    record;
  const refusal = state === "failed" ? textOf(record.answer) : null;
  return {
    key,
    machine,
    tool,
    state,
    accepted_at_ms: acceptedMs,
    delivered_at_ms: deliveredMs,
    consumed_at_ms: consumedMs,
    ...(state === "accepted" && isQueued ? { waits_until_ms: untilMs } : {}),
    ...(endedMs === null ? {} : { ended_at_ms: endedMs }),
    ...(record.mayHaveRun && deliveredMs === null ? { may_have_run: true } : {}),
    attempts,
    ...(record.error === null ? {} : { last_error: parseJson(record.error) ?? null }),
    ...(refusal === null ? {} : { refusal }),
  };
}

/** The first text in a stored result. */
function textOf(answer: string | null): string | null {
  const told = parseJson(answer ?? "null");
  const [first = null] = isRecord(told) && Array.isArray(told["content"]) ? (told["content"] as unknown[]) : [];
  if (!isRecord(first) || typeof first["text"] !== "string") return null;
  return first["text"].slice(0, MAX_REFUSAL_CHARACTERS).toWellFormed();
}
