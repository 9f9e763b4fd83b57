import type { EventFeed, FeedEvent } from "../mcp-events/event-feed.ts";
import { type Occurrence, occurrenceOf } from "../mcp-events/occurrence.ts";
import type { About, Deliveries } from "./deliveries.ts";
import { MAX_PENDING, MAX_PENDING_TOTAL, MAX_REPLAY, MAX_REPLAY_PAGES } from "./limits.ts";
import { type Interest, isAbout, type Subscriptions, wants } from "./subscription.ts";

/** Storage key of the position up to which the log is in the queue. */
const POSITION_KEY = "position";

/** An event for a subscription, and the positions before and after it. */
type Match = {
  readonly occurrence: Occurrence;
  readonly about: About;
  readonly before: string;
  readonly after: string;
};

/** Takes what is new in the person's log into the queue, for each subscription that wants it. */
export class Collector {
  readonly #storage: DurableObjectStorage;
  readonly #subscriptions: Subscriptions;
  readonly #deliveries: Deliveries;
  readonly #feed: (visible: readonly string[] | null) => EventFeed;

  /** @param feed the log of the computers of these identities, as far as they have names now; `null` for all that there is */
  constructor(
    storage: DurableObjectStorage,
    subscriptions: Subscriptions,
    deliveries: Deliveries,
    feed: (visible: readonly string[] | null) => EventFeed,
  ) {
    this.#storage = storage;
    this.#subscriptions = subscriptions;
    this.#deliveries = deliveries;
    this.#feed = feed;
  }

  /** The position up to which the log is in the queue. `null` before the first subscription. */
  get position(): string | null {
    return this.#storage.kv.get<string>(POSITION_KEY) ?? null;
  }

  /** With the last subscription its position is forgotten: the next one starts from its own now. */
  reset(): void {
    this.#storage.kv.delete(POSITION_KEY);
  }

  /**
   * Reads on to the log's end. What a page adds to the queue and the new position are stored together, so that after a crash no
   * event is missing or there twice.
   *
   * @param replayed ids of events that a subscription has got already
   */
  async collect(replayed?: { readonly subscription: string; readonly ids: ReadonlySet<string> }): Promise<string> {
    const feed = this.#feed(null);
    let { position } = this;
    if (position === null) {
      position = await feed.now();
      this.#storage.kv.put(POSITION_KEY, position);
      return position;
    }
    for (;;) {
      const page = await feed.read(position, 0);
      const nowMs = Date.now();
      // No `await` from here to the new position: the runtime writes all of it or nothing.
      const subscriptions = this.#subscriptions.list();
      const room = new Room(this.#deliveries);
      for (const { event, match } of matchesIn(page.events, position))
        for (const subscription of subscriptions) {
          if (!wants(subscription, match.occurrence.name, event)) continue;
          if (subscription.id === replayed?.subscription && replayed.ids.has(event.id)) continue;
          this.#enqueue(subscription.id, match, room, nowMs);
        }
      this.#tellGaps(room);
      if (page.gap) for (const { id, hasEnded } of subscriptions) if (!hasEnded) this.#subscriptions.markGap(id, true);
      position = page.cursor;
      this.#storage.kv.put(POSITION_KEY, position);
      if (!page.more) return position;
    }
  }

  /**
   * Reads what happened after a subscriber's cursor. Answers it with the ids of these events, and whether others were skipped. With
   * too many it starts over at the newest that it may have, or at the present.
   */
  async replay(
    interest: Interest,
    cursor: string,
    maxAgeMs: number | null,
  ): Promise<{ matches: readonly Match[]; ids: ReadonlySet<string>; truncated: boolean }> {
    const feed = this.#feed(interest.visible);
    const floorMs = maxAgeMs === null ? 0 : Date.now() - maxAgeMs;
    let matches: Match[] = [];
    let truncated = false;
    let at = cursor;
    for (let pages = 0; ; pages += 1) {
      if (pages === MAX_REPLAY_PAGES) return { matches: [], ids: new Set(), truncated: true };
      const page = await feed.read(at, 0);
      truncated ||= page.gap;
      for (const { event, match } of matchesIn(page.events, at)) {
        if (!isAbout(interest, match.occurrence.name, event)) continue;
        if (event.event.atMs < floorMs) truncated = true;
        else matches.push(match);
      }
      if (matches.length > MAX_REPLAY) {
        truncated = true;
        matches = matches.slice(-MAX_REPLAY);
      }
      at = page.cursor;
      if (!page.more) break;
    }
    return { matches, ids: new Set(matches.map(({ occurrence }) => occurrence.eventId)), truncated };
  }

  enqueue(subscription: string, matches: readonly Match[], nowMs: number): void {
    const room = new Room(this.#deliveries);
    for (const match of matches) this.#enqueue(subscription, match, room, nowMs);
    this.#tellGaps(room);
  }

  #tellGaps({ full }: Room): void {
    for (const id of full) this.#subscriptions.markGap(id, true);
  }

  #enqueue(subscription: string, { occurrence, about, before, after }: Match, room: Room, nowMs: number): void {
    if (!room.take(subscription)) return;
    const content = JSON.stringify(occurrence);
    this.#deliveries.add(
      { subscription, message: occurrence.eventId, isControl: false, content, before, after, about },
      nowMs,
    );
  }
}

/**
 * What else fits into the queue, for all that is added without an `await`. To count it for each message would read the whole queue each
 * time: 200 events for 100 subscriptions would take 10 s, in which nothing else runs.
 */
class Room {
  readonly #deliveries: Deliveries;
  readonly #left = new Map<string, number>();
  #leftOfAll: number;
  /** Subscriptions that got something less. */
  readonly full = new Set<string>();

  constructor(deliveries: Deliveries) {
    this.#deliveries = deliveries;
    this.#leftOfAll = MAX_PENDING_TOTAL - deliveries.pending(null);
  }

  /** Takes the place of one message, if there is one. */
  take(subscription: string): boolean {
    const left = this.#left.get(subscription) ?? MAX_PENDING - this.#deliveries.pending(subscription);
    const isFull = left <= 0 || this.#leftOfAll <= 0;
    if (isFull) this.full.add(subscription);
    else this.#leftOfAll -= 1;
    this.#left.set(subscription, isFull ? left : left - 1);
    return !isFull;
  }
}

/** The entries of a page that stand for events, and the positions around each. */
function* matchesIn(events: readonly FeedEvent[], from: string): Generator<{ event: FeedEvent; match: Match }> {
  let before = from;
  for (const event of events) {
    const occurrence = occurrenceOf(event)?.occurrence;
    if (occurrence !== undefined)
      yield { event, match: { occurrence, about: aboutOf(event), before, after: event.cursor } };
    before = event.cursor;
  }
}

function aboutOf({ event: { machine, session }, identity }: FeedEvent): About {
  return { machine, session, identity };
}
