import { MAX_EVENT_BYTES } from "./limits.ts";

/** An event's data as JSON. Data that is too large is replaced by its size, and what is nested too deep to be written by a word of it. */
export function eventData(data: unknown): string {
  let json: string;
  try {
    json = JSON.stringify(data ?? null);
  } catch (reason) {
    // Parsers go deeper than writers: at some thousands of levels the stack is full. A machine's other events are stored all the same.
    if (!(reason instanceof RangeError)) throw reason;
    return JSON.stringify({ truncated: true, reason: "nested too deep" });
  }
  return json.length <= MAX_EVENT_BYTES ? json : JSON.stringify({ truncated: true, bytes: json.length });
}
