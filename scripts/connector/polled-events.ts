import type { PushedEvent } from "#protocol/event.ts";
import * as z from "zod";
import { parseJson } from "#protocol/json.ts";

/** The result of `poll_events`, converted from the server's own format. */
export type Polled = { readonly events: PushedEvent[]; readonly cursor: string | null };

const TextContent = z.looseObject({ type: z.literal("text"), text: z.string() });
const Result = z.looseObject({ structuredContent: z.unknown().optional(), content: z.array(z.unknown()).optional() });
const Listed = z.looseObject({ events: z.array(z.unknown()), cursor: z.string().nullish() });

/**
 * The events in a tool result: `structuredContent.events`, else JSON text that is `{ events: [...] }` or an array. Any other result
 * has no events.
 */
export function polledEvents(result: unknown, nowMs: number): Polled {
  const parsed = Result.safeParse(result);
  if (!parsed.success) return { events: [], cursor: null };
  const texts = (parsed.data.content ?? []).flatMap((part) => {
    const text = TextContent.safeParse(part);
    return text.success ? [parseJson(text.data.text)] : [];
  });
  for (const candidate of [parsed.data.structuredContent, ...texts]) {
    const listed = Listed.safeParse(Array.isArray(candidate) ? { events: candidate } : candidate);
    if (!listed.success) continue;
    const { events, cursor } = listed.data;
    return { events: events.map((event) => pushedEvent(event, nowMs)), cursor: cursor ?? null };
  }
  return { events: [], cursor: null };
}

/** Field names that servers use for an event's type, session and time. */
const TYPE = ["type", "kind", "event"];
const SESSION = ["session", "session_id", "sessionId"];
const TIME_MS = ["atMs", "at_ms"];
const TIME = ["timestamp", "time", "ts", "at"];

function pushedEvent(event: unknown, nowMs: number): PushedEvent {
  if (typeof event !== "object" || event === null) return { atMs: nowMs, type: "event", session: null, data: event };
  const fields = new Map<string, unknown>(Object.entries(event));
  const type = firstOf(fields, TYPE, (value) => (typeof value === "string" && value !== "" ? value : null));
  const session = firstOf(fields, SESSION, (value) => (typeof value === "string" ? value : null));
  const atMs = firstOf(fields, TIME_MS, msOf) ?? firstOf(fields, TIME, timeOf);
  // An event in our own format has its data in `data`. Of any other format, the whole event is the data.
  const data = fields.has("data") ? fields.get("data") : event;
  return { atMs: atMs ?? nowMs, type: type ?? "event", session, data };
}

function firstOf<Value>(
  fields: ReadonlyMap<string, unknown>,
  names: readonly string[],
  read: (value: unknown) => Value | null,
): Value | null {
  for (const name of names) {
    const value = read(fields.get(name));
    if (value !== null) return value;
  }
  return null;
}

/** Numbers up to this (the year 5138) count as seconds, larger ones as milliseconds. */
const LARGEST_SECONDS = 100_000_000_000;

/** The largest time that a `Date` can hold. Operator accepts no event with a number that is no time, and ends the link. */
const LARGEST_MS = 8.64e15;

function timeOf(value: unknown): number | null {
  const number = msOf(value);
  if (number !== null) return number < LARGEST_SECONDS ? number * 1000 : number;
  const ms = typeof value === "string" ? Date.parse(value) : Number.NaN;
  return Number.isNaN(ms) ? null : ms;
}

function msOf(value: unknown): number | null {
  if (typeof value !== "number" || value <= 0) return null;
  const ms = Math.round(value);
  return ms <= LARGEST_MS ? ms : null; // not NaN either
}
