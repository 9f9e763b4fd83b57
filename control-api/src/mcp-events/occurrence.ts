import { utf8 } from "#protocol/bytes.ts";
import { type EventType, eventTypeOf, payloadFieldsOf } from "./event-type.ts";
import type { FeedEvent } from "./event-feed.ts";

/** An event as clients get it (SEP-3415, "Event Occurrences"), without its cursor. */
export type Occurrence = {
  readonly eventId: string;
  readonly name: string;
  /** ISO 8601, by the machine's clock. */
  readonly timestamp: string;
  readonly data: Record<string, unknown>;
};

/**
 * The largest body of one delivery (SEP-3415, "Delivery profile"; ChatGPT refuses more). The log cuts an event's data to 64 KB, so
 * this is reached only if JSON grows on the way.
 */
const MAX_DELIVERY_BYTES = 256 * 1024;

/** Room for the rest of the body around `data`. */
const ENVELOPE_BYTES = 4 * 1024;

/** The last instant that `Date` can represent (ECMA-262, "Time Values"). A machine's clock may claim any integer. */
const LAST_DATE_MS = 8.64e15;

/** The event in an entry of the log, or `null` if the entry has none of `EVENT_TYPES`. */
export function occurrenceOf({ id, event }: FeedEvent): { type: EventType; occurrence: Occurrence } | null {
  const type = eventTypeOf(event.type, event.data);
  if (type === null) return null;
  const about = { machine: event.machine, session: event.session };
  const data = { ...payloadFieldsOf(type, event.data), ...about };
  const isTooLarge = utf8(JSON.stringify(data)).length > MAX_DELIVERY_BYTES - ENVELOPE_BYTES;
  return {
    type,
    occurrence: {
      eventId: id,
      name: type.name,
      timestamp: timestampOf(event.atMs),
      data: isTooLarge ? { ...about, truncated: true } : data,
    },
  };
}

function timestampOf(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_DATE_MS)).toISOString();
}
