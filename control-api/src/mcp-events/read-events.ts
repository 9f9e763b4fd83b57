import type { EventFeed } from "./event-feed.ts";
import type { EventType } from "./event-type.ts";
import { type Occurrence, occurrenceOf } from "./occurrence.ts";
import { passes, type SubscriptionFilter } from "./subscription-arguments.ts";

/** Pages of the log that one read looks through for events of its type. Most entries of a log are of other types. */
const MAX_PAGES = 10;

/** What is read: events of one type that a filter lets pass, and none older than `maxAgeMs`. */
export type Wanted = {
  readonly type: EventType;
  readonly filter: SubscriptionFilter;
  readonly maxAgeMs: number | null;
};

export type Found = {
  readonly events: readonly { readonly occurrence: Occurrence; readonly cursor: string }[];
  readonly cursor: string;
  /** Events after the reader's cursor were skipped. */
  readonly truncated: boolean;
  readonly hasMore: boolean;
};

/** Reads up to `maxEvents` events after `cursor`, and waits up to `waitMs` for the first entry of the log. */
export async function readEvents(
  feed: EventFeed,
  wanted: Wanted,
  { cursor, maxEvents, waitMs }: { cursor: string; maxEvents: number; waitMs: number },
): Promise<Found> {
  const floorMs = wanted.maxAgeMs === null ? 0 : Date.now() - wanted.maxAgeMs;
  const events: { occurrence: Occurrence; cursor: string }[] = [];
  let at = cursor;
  let truncated = false;
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const read = await feed.read(at, page === 0 ? waitMs : 0);
    truncated ||= read.gap;
    for (const one of read.events) {
      const found = occurrenceOf(one);
      if (found === null || found.type !== wanted.type || !passes(wanted.filter, one)) continue;
      if (one.event.atMs < floorMs) {
        truncated = true;
        continue;
      }
      if (events.length === maxEvents) return { events, cursor: at, truncated, hasMore: true };
      events.push({ occurrence: found.occurrence, cursor: one.cursor });
      at = one.cursor;
    }
    at = read.cursor;
    if (!read.more) return { events, cursor: at, truncated, hasMore: false };
  }
  return { events, cursor: at, truncated, hasMore: true };
}
