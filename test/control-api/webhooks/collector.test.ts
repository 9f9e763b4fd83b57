import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { EventFeed, FeedEvent } from "../../../control-api/src/mcp-events/event-feed.ts";
import { Collector } from "../../../control-api/src/webhooks/collector.ts";
import { Deliveries } from "../../../control-api/src/webhooks/deliveries.ts";
import { Subscriptions } from "../../../control-api/src/webhooks/subscription.ts";
import { env } from "../support/operator.ts";

/** A log in memory: positions are numbers. */
class Log implements EventFeed {
  readonly events: FeedEvent[] = [];
  /** Called before each read, so that a test can let something happen in between. */
  beforeRead: () => void = () => undefined;

  add(): void {
    const seq = this.events.length + 1;
    const event = { machine: "attic", seq, atMs: seq, type: "session.error", session: "attic/s", data: {} };
    this.events.push({ id: `evt_${seq}`, cursor: String(seq), event, identity: null });
  }

  async now(): Promise<string> {
    return String(this.events.length);
  }

  async read(cursor: string) {
    this.beforeRead();
    const events = this.events.slice(Number(cursor), Number(cursor) + 2);
    const end = events.at(-1)?.cursor ?? cursor;
    return { events, cursor: end, more: Number(end) < this.events.length, gap: false };
  }
}

type Parts = {
  log: Log;
  collector: Collector;
  subscriptions: Subscriptions;
  messages: () => string[];
  /** How often the queue was counted. */
  counted: () => number;
  /** Puts so many messages of other subscriptions into the queue. */
  fill: (count: number) => void;
};

/** Runs a test in an object of its own, with one subscription. */
function collecting(test: (parts: Parts) => Promise<void>): Promise<void> {
  const object = env.WEBHOOKS.getByName(`collector-${crypto.randomUUID()}`);
  return runInDurableObject(object, async (_, { storage }) => {
    const log = new Log();
    let counted = 0;
    const exec: SqlStorage["exec"] = (query, ...bindings) => {
      if (query.includes("count(*)")) counted += 1;
      return storage.sql.exec(query, ...bindings);
    };
    const sql = new Proxy(storage.sql, { get: (target, name) => (name === "exec" ? exec : Reflect.get(target, name)) });
    const [subscriptions, deliveries] = [new Subscriptions(storage.sql), new Deliveries(sql)];
    const collector = new Collector(storage, subscriptions, deliveries, () => log);
    const filter = { machine: null, session: null };
    const made = { id: "one", kind: "webhook", client: "", credential: null, types: null, filter, visible: null, url: "", createdMs: 0, expiresMs: null } as const; // prettier-ignore
    subscriptions.add(made, null);
    const messages = () =>
      storage.sql
        .exec<{ message: string }>("SELECT message FROM delivery ORDER BY id")
        .toArray()
        .map(({ message }) => message);
    const fill = (count: number): void =>
      void storage.sql.exec(
        `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?)
         INSERT INTO delivery (subscription, message, control, content, before, after, created_ms, next_ms)
         SELECT 'other', 'of others', 0, '{}', '', '', 0, 0 FROM n`,
        count,
      );
    await test({ log, collector, subscriptions, messages, counted: () => counted, fill });
  });
}

describe("the collector", () => {
  it("starts now, and then queues each event once, page by page", () =>
    collecting(async ({ log, collector, messages }) => {
      log.add();
      await collector.collect();
      expect(messages()).toEqual([]);
      for (let count = 0; count < 5; count += 1) log.add();
      await collector.collect();
      await collector.collect();
      expect(messages()).toEqual(["evt_2", "evt_3", "evt_4", "evt_5", "evt_6"]);
    }));

  it("queues once an event that happens while a new subscription's past is read", () =>
    collecting(async ({ log, collector, subscriptions, messages }) => {
      log.add();
      await collector.collect();
      const subscription = subscriptions.get("one");
      if (subscription === null) throw new Error("no subscription");
      log.beforeRead = () => {
        log.beforeRead = () => undefined;
        log.add();
      };
      const { matches, ids, truncated } = await collector.replay(subscription, "0", null);
      collector.enqueue("one", matches, Date.now());
      log.add();
      await collector.collect({ subscription: "one", ids });
      expect(truncated).toBe(false);
      expect(messages()).toEqual(["evt_1", "evt_2", "evt_3"]);
    }));

  it("counts the queue for each page and not for each event, and marks a gap when it is full", () =>
    collecting(async ({ log, collector, subscriptions, messages, counted }) => {
      await collector.collect();
      const events = 250;
      const pages = events / 2;
      for (let count = 0; count < events; count += 1) log.add();
      await collector.collect();
      expect(messages()).toHaveLength(200);
      expect(subscriptions.get("one")?.hasGap).toBe(true);
      // For the subscription, and for all.
      expect(counted()).toBe(2 * pages);
    }));

  it("queues no more than 5,000 messages of all subscriptions", () =>
    collecting(async ({ log, collector, subscriptions, messages, fill }) => {
      await collector.collect();
      fill(4_990);
      for (let count = 0; count < 20; count += 1) log.add();
      await collector.collect();
      expect(messages().filter((message) => message.startsWith("evt_"))).toHaveLength(10);
      expect(subscriptions.get("one")?.hasGap).toBe(true);
    }));
});
