import { expect, test, vi } from "vitest";
import { EventLog } from "../../../scripts/serve/event-log.ts";
import { PollPositions } from "../../../scripts/serve/poll-positions.ts";

const say = (log: EventLog, session: string, text = "") => log.append("message", session, { text });

test("reading consumes nothing: two readers get the same", () => {
  const log = new EventLog();
  const start = log.end;
  say(log, "a");
  say(log, "b");
  expect(log.read(start, null).events).toHaveLength(2);
  expect(log.read(start, null)).toEqual(log.read(start, null));
  expect(log.read(log.end, null)).toEqual({ events: [], cursor: log.end, gap: false });
});

test("a filtered reader moves past other events", () => {
  const log = new EventLog();
  const start = log.end;
  say(log, "a");
  say(log, "b");
  const page = log.read(start, "a");
  expect(page.events.map((event) => event.session)).toEqual(["a"]);
  expect(page.cursor).toBe(log.end);
});

test("pages end before they are too large, and continue there", () => {
  const log = new EventLog();
  let cursor = log.end;
  for (let index = 0; index < 1_200; index += 1) say(log, "a", String(index));
  const texts: unknown[] = [];
  for (let pages = 0; pages < 3; pages += 1) {
    const page = log.read(cursor, null);
    texts.push(...page.events.map((event) => event.data["text"]));
    cursor = page.cursor;
  }
  expect(texts).toEqual(Array.from({ length: 1_200 }, (_, index) => String(index)));
});

test("trimmed history is reported as a gap, and the rest is returned", () => {
  const log = new EventLog();
  const start = log.end;
  for (let index = 0; index < 40; index += 1) say(log, "a", "x".repeat(1024 * 1024));
  const page = log.read(start, null);
  expect(page.gap).toBe(true);
  expect(page.events.length).toBeGreaterThan(0);
  expect(log.read(page.cursor, null).gap).toBe(false);
});

test("a poll answers at once if there are events, and is woken only by an event of its session", async () => {
  const log = new EventLog();
  const start = log.end;
  let woken = 0;
  const waiting = log.poll(start, "mine", 60_000).then((page) => {
    woken += 1;
    return page;
  });
  say(log, "other");
  await new Promise((resolve) => setImmediate(resolve));
  expect(woken).toBe(0);
  say(log, "mine");
  expect((await waiting).events.map((event) => event.session)).toEqual(["mine"]);
  expect((await log.poll(start, "mine", 60_000)).events).toHaveLength(1);
});

test("a poll ends at once when its caller leaves", async () => {
  const log = new EventLog();
  const caller = new AbortController();
  const waiting = log.poll(log.end, null, 60_000, caller.signal);
  caller.abort();
  expect((await waiting).events).toEqual([]);
});

test("without a cursor a client gets the events since its first request, once for each query", () => {
  const log = new EventLog();
  const positions = new PollPositions(() => log.end);
  const poll = (client: string, session: string | null) => {
    const page = log.read(positions.get(client, session), session);
    positions.advance(client, session, page.cursor);
    return page.events.map((event) => event.data["text"]);
  };
  say(log, "a", "before");
  positions.meet("one");
  say(log, "a", "first");
  expect(poll("one", "a")).toEqual(["first"]);
  expect(poll("one", "a")).toEqual([]);
  say(log, "b", "second");
  // Asking for one session took nothing from "all"; and another client has lost nothing to this one.
  expect(poll("one", null)).toEqual(["first", "second"]);
  expect(poll("two", null)).toEqual([]);
  say(log, "a", "third");
  expect(poll("two", null)).toEqual(["third"]);
  expect(poll("one", "a")).toEqual(["third"]);
});

test("what a client calls itself and its sessions is not kept, however long it is", () => {
  const positions = new PollPositions(() => "end");
  const keys = vi.spyOn(Map.prototype, "set");
  const long = "x".repeat(1024 * 1024);
  positions.meet(`${long}1`);
  positions.advance(`${long}1`, `${long}a`, "one");
  positions.advance(`${long}1`, `${long}b`, "other");
  positions.advance(`${long}2`, `${long}a`, "another");
  const longest = Math.max(...keys.mock.calls.map(([key]) => String(key).length));
  keys.mockRestore();
  expect(longest).toBeLessThan(100);
  expect(["a", "b"].map((session) => positions.get(`${long}1`, `${long}${session}`))).toEqual(["one", "other"]);
  expect(positions.get(`${long}2`, `${long}a`)).toBe("another");
  expect(positions.get(`${long}1`, null)).toBe("end");
});

test("of clients that come and go the last 10,000 positions are kept", () => {
  const positions = new PollPositions(() => "end");
  positions.advance("idle", null, "kept");
  positions.advance("busy", null, "kept");
  for (let client = 0; client < 9_999; client += 1) {
    if (client === 5_000) positions.advance("busy", null, "kept, too");
    positions.advance(`client-${client}`, null, "another");
  }
  expect(["idle", "busy"].map((client) => positions.get(client, null))).toEqual(["end", "kept, too"]);
});
