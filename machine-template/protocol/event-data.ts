import { MAX_EVENT_BYTES } from "./limits.ts";

/** An event's data as JSON. Data that is too large is replaced by its size. */
export function eventData(data: unknown): string {
  const json = JSON.stringify(data ?? null);
  return json.length <= MAX_EVENT_BYTES ? json : JSON.stringify({ truncated: true, bytes: json.length });
}
