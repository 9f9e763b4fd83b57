import { SUBSCRIPTION_ID_META_KEY } from "@modelcontextprotocol/server";
import { endedBy } from "../http/ended.ts";
import type { wireErrorOf } from "./events-error.ts";
import type { EventFeed } from "./event-feed.ts";
import { readEvents, type Wanted } from "./read-events.ts";

/**
 * The longest silence on a stream: after it comes a heartbeat with the current cursor. The SEP asks for one every 30 s, and proxies
 * drop a stream that is silent for longer. Milliseconds.
 */
const HEARTBEAT_MS = 20_000;

/** Events that are written before the log is read again. */
const AT_ONCE = 100;

/** The shortest time between two reads that found nothing, should the log answer without waiting. Milliseconds. */
const PAUSE_MS = 1_000;

export type StreamOptions = {
  readonly feed: EventFeed;
  readonly wanted: Wanted;
  readonly cursor: string | null;
  /** The id of the request, with which each notification is marked. */
  readonly subscription: string | number;
  readonly notify: (method: string, params: Record<string, unknown>) => Promise<void>;
  readonly signal: AbortSignal;
  /** The error that ended the subscription, once `signal` is aborted; `null` if the client left. */
  readonly whyEnded: () => ReturnType<typeof wireErrorOf> | null;
};

/**
 * `events/stream` (SEP-3415, "Push-Based Delivery"): confirms the subscription, then delivers events until the client leaves or loses
 * access, of which it is told. Each event carries the cursor after it, and so does the heartbeat of a quiet stream. A client that was cut off goes on
 * from the last one that it saw.
 */
export async function stream(options: StreamOptions): Promise<Record<string, unknown>> {
  const { feed, signal, subscription } = options;
  const meta = { _meta: { [SUBSCRIPTION_ID_META_KEY]: subscription } };
  const tell = (name: string, params: Record<string, unknown>): Promise<void> =>
    options.notify(`notifications/events/${name}`, { ...params, ...meta });

  let { cursor, wanted } = { cursor: options.cursor ?? (await feed.now()), wanted: options.wanted };
  let isActive = false;
  let told = Date.now();
  // The first read does not wait: it tells whether the cursor was any good, and that goes into the confirmation.
  for (let waitMs = 0; !signal.aborted; waitMs = HEARTBEAT_MS) {
    const startedMs = Date.now();
    const found = await readEvents(feed, wanted, { cursor, maxEvents: AT_ONCE, waitMs }).catch(endedBy(signal));
    // What was read when access ended is not delivered any more.
    if (found === null || signal.aborted) break;
    // Without a cursor nothing can have been skipped.
    const truncated = found.truncated && options.cursor !== null;
    if (!isActive || truncated) {
      // Events that follow carry cursors of their own. If the connection breaks before the first, it must not be skipped.
      await tell("active", { cursor: found.events.length === 0 ? found.cursor : cursor, truncated });
      told = Date.now();
    }
    isActive = true;
    for (const { occurrence, cursor: after } of found.events) {
      if (signal.aborted) break;
      await tell("event", { ...occurrence, cursor: after });
      told = Date.now();
    }
    ({ cursor } = found);
    // An age limit is for what lies behind the client's cursor, and not for what comes from now on.
    if (!found.hasMore) wanted = { ...wanted, maxAgeMs: null };
    if (Date.now() - told >= HEARTBEAT_MS) {
      await tell("heartbeat", { cursor });
      told = Date.now();
    }
    const isQuick = waitMs > 0 && found.events.length === 0 && !found.hasMore && Date.now() - startedMs < PAUSE_MS;
    if (isQuick) await scheduler.wait(PAUSE_MS, { signal }).catch(() => undefined); // aborted: the loop ends
  }
  const error = options.whyEnded();
  // The last message but for the empty result ("Subscription Termination"). Without it, the client would subscribe again at once.
  if (error !== null) await tell("terminated", { error });
  return meta;
}
