import { parseJson } from "#protocol/json.ts";
import type { DeliveryRecord } from "./delivery.ts";

/** A delivery as clients see it: what is known to have happened, and when. */
export function deliveryView(record: DeliveryRecord): Record<string, unknown> {
  const { key, machine, tool, state, isQueued, attempts, acceptedMs, untilMs, deliveredMs, consumedMs, endedMs } =
    record;
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
  };
}
