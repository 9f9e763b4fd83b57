import { evictDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import type { LoggedEvent, LogPosition } from "#protocol/event.ts";
import {
  EVENT_LOG_AGE_MS,
  EVENT_LOG_ROWS,
  EVENT_PAGE_BYTES,
  EVENT_PAGE_ROWS,
  FIRST_PUSHED_ROWS,
  MAX_EVENT_BYTES,
  MAX_EVENTS_PER_FRAME,
  SCRIPT_EVENT_RATE,
} from "#protocol/limits.ts";
import { EventLog } from "../../../machine-template/src/event-log.ts";
import { ask, env, forget, page, state, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

const named = (...names: string[]) => names.map((name) => ({ data: { name } }));

/** The names of the connector's own events, without those of presence. */
function namesIn(events: readonly LoggedEvent[]): string[] {
  return events.flatMap(({ type, data }) => (type === "message" ? [(data as { name: string }).name] : []));
}

async function everything(): Promise<LoggedEvent[]> {
  const { position } = await page();
  return (await page({ epoch: position.epoch, seq: 0 })).events;
}

describe("a connector's events", () => {
  it("are stored once and in order, even if they are sent again within a link and after reconnects", async () => {
    const first = await TestConnector.greeted("stream");
    expect((await first.word("welcome")).acked).toBe(0);
    expect(await first.push(1, named("a", "b"))).toBe(2);
    expect(await first.push(2, named("b", "c"))).toBe(3);
    expect(await first.push(1, named("a", "b", "c"))).toBe(3);
    await first.leave();
    const second = await TestConnector.greeted("stream");
    expect((await second.word("welcome")).acked).toBe(3);
    expect(await second.push(3, named("c", "d"))).toBe(4);
    expect(namesIn(await everything())).toEqual(["a", "b", "c", "d"]);
  });

  it("are stored once even if the script was evicted before they were sent again", async () => {
    const connector = await TestConnector.greeted("stream");
    await connector.push(1, named("a", "b"));
    await evictDurableObject(env.MACHINE.getByName("machine"));
    expect(await connector.push(2, named("b", "c"))).toBe(3);
    expect(namesIn(await everything())).toEqual(["a", "b", "c"]);
  });

  it("of another stream are different events, whatever their numbers", async () => {
    const one = await TestConnector.greeted("one");
    await one.push(1, named("a"));
    const other = await TestConnector.greeted("other");
    expect((await other.word("welcome")).acked).toBe(0);
    expect(await other.push(1, named("b"))).toBe(1);
    expect(namesIn(await everything())).toEqual(["a", "b"]);
  });

  it("are dropped above a machine's rate, still acknowledged, and reported by their number", async () => {
    const connector = await TestConnector.greeted("storm");
    const before = (await page()).position.seq;
    let sent = 0;
    // The burst, and more than comes back in the time that this takes.
    while (sent < SCRIPT_EVENT_RATE.burst + 10_000) {
      const events = Array.from({ length: MAX_EVENTS_PER_FRAME }, () => ({ type: "storm", data: null }));
      expect(await connector.push(sent + 1, events)).toBe(sent + events.length);
      sent += events.length;
    }
    await scheduler.wait(50); // ten events' worth
    await connector.push(sent + 1, named("after"));
    sent += 1;
    // The first events have been trimmed since; their numbers still count.
    const logged = (await page()).position.seq - before;
    const markers = await within((_, { storage }) =>
      storage.sql
        .exec<{ count: number }>("SELECT data ->> 'count' AS count FROM event WHERE type = 'events.dropped'")
        .toArray(),
    );
    const dropped = markers.reduce((sum, { count }) => sum + count, 0);
    expect(dropped).toBeGreaterThan(1_000);
    expect(logged - markers.length + dropped).toBe(sent);
  });

  it("are stored even if earlier ones were lost on the machine", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("a"));
    expect(await connector.push(5, named("e", "f"))).toBe(6);
    expect(namesIn(await everything())).toEqual(["a", "e", "f"]);
  });

  it("are returned as they were stored, each with a number that rises by one", async () => {
    const connector = await TestConnector.greeted();
    const sent = { atMs: 1_234, type: "tool.started", session: "s/1", data: { deep: [1, null, "é€"] } };
    await connector.push(1, [sent, { ...sent, data: undefined }]);
    const events = await everything();
    expect(events.map(({ seq }) => seq)).toEqual([1, 2, 3]);
    expect(events[1]).toEqual({ seq: 2, ...sent });
    expect(events[2]).toEqual({ seq: 3, ...sent, data: null });
  });

  it("that are too large leave only a note of their size", async () => {
    const connector = await TestConnector.greeted();
    const large = "x".repeat(MAX_EVENT_BYTES);
    await connector.push(1, [{ data: large }, { data: "small" }]);
    const [, first, second] = await everything();
    expect(first?.data).toEqual({ truncated: true, bytes: MAX_EVENT_BYTES + 2 });
    expect(second?.data).toBe("small");
  });
});

describe("a page of the log", () => {
  it("leaves out pieces of messages unless requested, and moves past them", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [{ type: "message" }, { type: "message.delta" }, { type: "message.delta" }]);
    const { position } = await page();
    const beginning = { epoch: position.epoch, seq: 0 };
    const typesIn = ({ events }: { events: LoggedEvent[] }) => events.map(({ type }) => type).slice(-3);
    const coarse = await page(beginning);
    expect(typesIn(coarse)).not.toContain("message.delta");
    expect([coarse.position, coarse.more]).toEqual([position, false]);
    expect(typesIn(await page(beginning, undefined, "deltas"))).toEqual(["message", "message.delta", "message.delta"]);
  });

  it("without a position has no events and the log's end", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("a", "b"));
    expect(await page()).toMatchObject({ events: [], position: { seq: 3 }, gap: false, more: false });
  });

  it("has the events after its position and the next position, and consumes nothing", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("a"));
    const { position } = await page();
    await connector.push(2, named("b", "c"));
    for (let reader = 0; reader < 2; reader += 1) {
      const next = await page(position);
      expect(namesIn(next.events)).toEqual(["b", "c"]);
      expect(next).toMatchObject({
        position: { epoch: position.epoch, seq: position.seq + 2 },
        gap: false,
        more: false,
      });
      expect((await page(next.position)).events).toEqual([]);
    }
  });

  it("of one session has only that session's events, with a position of the whole log", async () => {
    const connector = await TestConnector.greeted();
    const { position } = await page();
    await connector.push(1, [{ session: "s1" }, { session: "s2" }, { session: null }, { session: "s1" }]);
    const ofOne = await page(position, "s1");
    expect(ofOne.events.map(({ session }) => session)).toEqual(["s1", "s1"]);
    expect(ofOne.position.seq).toBe(position.seq + 4);
    expect((await page(position, "nobody's")).events).toEqual([]);
  });

  it("is cut at a number of events and says so, and all pages together have each event once", async () => {
    const connector = await TestConnector.greeted();
    let { position } = await page();
    const count = EVENT_PAGE_ROWS + 50;
    for (let first = 1; first <= count; first += 50)
      await connector.push(first, named(...Array.from({ length: 50 }, (_, index) => String(first + index))));
    const one = await page(position);
    expect(one).toMatchObject({ more: true, gap: false });
    expect(one.events).toHaveLength(EVENT_PAGE_ROWS);
    position = one.position;
    const two = await page(position);
    expect(two.more).toBe(false);
    expect(namesIn([...one.events, ...two.events])).toEqual(
      Array.from({ length: count }, (_, index) => String(index + 1)),
    );
  });

  it("is cut at a number of bytes too, but never before its first event", async () => {
    const connector = await TestConnector.greeted();
    const { position } = await page();
    const data = "x".repeat(MAX_EVENT_BYTES - 2);
    await connector.push(
      1,
      Array.from({ length: 10 }, () => ({ data })),
    );
    const seen: number[] = [];
    let next = { position, more: true };
    while (next.more) {
      const { events, ...rest } = await page(next.position);
      expect(events.length).toBeGreaterThan(0);
      expect(events.length * data.length).toBeLessThanOrEqual(EVENT_PAGE_BYTES);
      seen.push(...events.map(({ seq }) => seq));
      next = rest;
    }
    expect(seen).toEqual(Array.from({ length: 10 }, (_, index) => position.seq + 1 + index));
  });

  it.each<[string, (position: LogPosition) => LogPosition]>([
    ["of another log's epoch", ({ seq }) => ({ epoch: "another", seq })],
    ["beyond the log's end", ({ epoch, seq }) => ({ epoch, seq: seq + 1 })],
  ])("after a position %s begins at the beginning and says that there is a gap", async (_, moved) => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("a", "b"));
    const { position } = await page();
    const begun = await page(moved(position));
    expect(begun.gap).toBe(true);
    expect(namesIn(begun.events)).toEqual(["a", "b"]);
    expect(begun.position).toEqual(position);
  });

  it("for an invalid position is the log's end", async () => {
    await TestConnector.greeted();
    const { position } = await page();
    for (const seq of [-1, 1.5, Number.NaN]) expect(await page({ epoch: position.epoch, seq })).toEqual(await page());
  });
});

describe("trimming", () => {
  it("keeps the newest rows, and readers who missed some find a gap", { timeout: 30_000 }, async () => {
    const connector = await TestConnector.greeted();
    const batch = Array.from({ length: MAX_EVENTS_PER_FRAME }, () => ({}));
    const { position } = await page();
    const frames = EVENT_LOG_ROWS / MAX_EVENTS_PER_FRAME + 10;
    for (let frame = 0; frame < frames; frame += 1) await connector.push(1 + frame * batch.length, batch);
    await within((machine) => machine.checkPresence());
    const newest = (await page()).position.seq;
    expect(newest).toBe(position.seq + frames * batch.length);
    const trimmed = await page(position);
    expect(trimmed.gap).toBe(true);
    const oldest = newest - EVENT_LOG_ROWS + 1;
    expect(trimmed.events[0]?.seq).toBe(oldest);
    expect((await page({ ...position, seq: oldest - 1 })).gap).toBe(false);
    expect((await page({ ...position, seq: oldest - 2 })).gap).toBe(true);
    expect(await within((_, { storage }) => storage.sql.exec("SELECT count(*) AS rows FROM event").one())).toEqual({
      rows: EVENT_LOG_ROWS,
    });
  });

  it("happens while events arrive, without waiting for the schedule", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("old"));
    await within((_, { storage }) => storage.sql.exec("UPDATE event SET stored_ms = 0"));
    const batch = Array.from({ length: MAX_EVENTS_PER_FRAME }, () => ({}));
    for (let frame = 0; frame < 5; frame += 1) await connector.push(2 + frame * batch.length, batch);
    expect((await everything())[0]?.seq).toBe(3);
  });

  it("drops rows that are too old by the script's clock, and keeps the numbers and the epoch", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("old"));
    const { position } = await page();
    const then = Date.now() - EVENT_LOG_AGE_MS - 1;
    await within((_, { storage }) => storage.sql.exec("UPDATE event SET stored_ms = ?", then));
    await connector.push(2, named("new"));
    await within((machine) => machine.checkPresence());
    const after = await page({ ...position, seq: 0 });
    expect(after.gap).toBe(true);
    expect(namesIn(after.events)).toEqual(["new"]);
    expect(after.events[0]?.seq).toBe(position.seq + 1);
    expect(await page(position)).toMatchObject({ gap: false, position: { epoch: position.epoch } });
  });

  it("of all rows still causes a gap for earlier readers, and the numbering continues", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, named("old"));
    const { position } = await page();
    await within((machine, { storage }) => {
      storage.sql.exec("UPDATE event SET stored_ms = 0");
      return machine.checkPresence();
    });
    expect(await page({ ...position, seq: 0 })).toMatchObject({ events: [], gap: true, position });
    expect(await page(position)).toMatchObject({ events: [], gap: false });
    await evictDurableObject(env.MACHINE.getByName("machine"));
    await connector.push(2, named("new"));
    expect((await page(position)).events.map(({ seq }) => seq)).toEqual([position.seq + 1]);
  });
});

describe("the sessions of a machine", () => {
  it("are those of its events, the latest first", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [
      { session: "s1", atMs: 10, type: "session.created" },
      { session: "s2", atMs: 20, type: "session.created" },
      { session: null, atMs: 25 },
      { session: "s1", atMs: 30, type: "session.idle" },
    ]);
    expect((await state()).sessions).toEqual([
      { id: "s1", firstMs: 10, lastMs: 30, lastType: "session.idle" },
      { id: "s2", firstMs: 20, lastMs: 20, lastType: "session.created" },
    ]);
  });
});

describe("a log of version 0.2", () => {
  it("is kept, and its newest events are pushed when its script is upgraded", async () => {
    const events = 1_500;
    await within((_, { storage }) => {
      storage.sql.exec("DELETE FROM event");
      storage.sql.exec("DROP TABLE log");
      storage.sql.exec(
        "CREATE TABLE log (single INTEGER PRIMARY KEY CHECK (single = 1), epoch TEXT NOT NULL, newest INTEGER NOT NULL)",
      );
      storage.sql.exec("INSERT INTO log VALUES (1, '0a1b2c3d', ?)", events);
      for (let seq = 1; seq <= events; seq += 1)
        storage.sql.exec("INSERT INTO event VALUES (?, 1, ?, 'message', NULL, ?)", seq, Date.now(), String(seq));
      const log = new EventLog(storage.sql);
      expect(log.position).toEqual({ epoch: "0a1b2c3d", seq: events });
      expect(log.unpushed("coarse")).toMatchObject({ after: events - FIRST_PUSHED_ROWS, gap: false, more: true });
      expect(log.unpushed("coarse").events[0]).toMatchObject({ seq: events - FIRST_PUSHED_ROWS + 1 });
      log.append([{ atMs: 1, type: "message", session: null, data: null }]);
      expect(new EventLog(storage.sql).unpushed("coarse").after).toBe(events - FIRST_PUSHED_ROWS);
    });
  });
});

describe("forgetting", () => {
  it("deletes a session's events, or all, for good", async () => {
    const connector = await TestConnector.greeted("stream");
    await connector.push(1, [{ session: "s1" }, { session: "s2" }]);
    const drop = (session: string | null) =>
      ask("/operator/forget", { method: "POST", body: JSON.stringify({ session }) });
    expect((await drop("s1")).status).toBe(204);
    expect((await state()).sessions.map(({ id }) => id)).toEqual(["s2"]);
    expect(await connector.push(1, [{ session: "s1" }, { session: "s2" }, { session: "s3" }])).toBe(3);
    expect((await everything()).flatMap(({ session }) => session ?? [])).toEqual(["s2", "s3"]);
    await drop(null);
    expect([await everything(), (await state()).sessions]).toEqual([[], []]);
    expect((await ask("/operator/forget", { method: "POST", body: "{}" })).status).toBe(400);
  });
});

it("an oversized session id is dropped, and its event is stored without a session", async () => {
  const connector = await TestConnector.greeted();
  const { position } = await page();
  await connector.push(1, [{ session: "s".repeat(900_000), data: "kept" }]);
  const { events } = await page(position);
  expect(events).toMatchObject([{ session: null, data: "kept" }]);
  expect((await state()).sessions).toEqual([]);
});
