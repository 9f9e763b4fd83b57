import { isNestedDeeper } from "./json.ts";
import { MAX_EVENT_BYTES, MAX_EVENT_LEVELS } from "./limits.ts";

/** An event's data as JSON. Data that is too large is replaced by its size, and what is nested too deep by a word of it. */
export function eventData(data: unknown): string {
  let json: string;
  try {
    json = JSON.stringify(data ?? null);
  } catch (reason) {
    // Parsers may go deeper than writers. A machine's other events are stored all the same.
    if (!(reason instanceof RangeError)) throw reason;
    return TOO_DEEP;
  }
  if (json.length > MAX_EVENT_BYTES) return JSON.stringify({ truncated: true, bytes: json.length });
  return isNestedDeeper(json, MAX_EVENT_LEVELS) ? TOO_DEEP : json;
}

const TOO_DEEP = JSON.stringify({ truncated: true, reason: "nested too deep" });
