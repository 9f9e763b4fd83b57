import { expect, test } from "vitest";
import type { PushedEvent } from "#protocol/event.ts";
import { EventThrottle } from "../../../scripts/connector/event-throttle.ts";
import { ManualClock } from "./support/manual-clock.ts";

function throttle(rate = { perSecond: 10, burst: 20 }) {
  const clock = new ManualClock();
  const passed: PushedEvent[] = [];
  const cursors: (string | null)[] = [];
  const made = new EventThrottle(
    (events, cursor) => {
      passed.push(...events);
      cursors.push(cursor);
    },
    { clock, rate },
  );
  const push = (from: number, count: number, cursor: string | null = null) =>
    made.push(
      Array.from({ length: count }, (_, index) => ({ atMs: 0, type: "t", session: null, data: from + index })),
      cursor,
    );
  return { clock, passed, cursors, push, stop: () => made.stop() };
}

test("events within the rate pass unchanged and in order", () => {
  const { clock, passed, push } = throttle();
  for (let at = 0; at < 100; at += 10) {
    push(at, 10);
    clock.advance(1_000);
  }
  expect(passed.map(({ data }) => data)).toEqual(Array.from({ length: 100 }, (_, index) => index));
});

test("a storm is reduced, one marker a second reports by how much, and every lost event is counted", () => {
  const { clock, passed, push } = throttle();
  for (let ms = 0; ms < 10_000; ms += 10) {
    push(ms, 10);
    clock.advance(10);
  }
  clock.advance(1_000);
  const markers = passed.filter(({ type }) => type === "events.dropped");
  const kept = passed.length - markers.length;
  expect(kept).toBeGreaterThanOrEqual(100);
  expect(kept).toBeLessThanOrEqual(121);
  expect(markers.length).toBeLessThanOrEqual(11);
  const dropped = markers.reduce((sum, { data }) => sum + (data as { count: number }).count, 0);
  expect(kept + dropped).toBe(10_000);
});

test("events dropped at the very end are reported when the connector ends", () => {
  const { passed, push, stop } = throttle();
  push(0, 25);
  stop();
  expect(passed.at(-1)).toMatchObject({ type: "events.dropped", session: null, data: { count: 5 } });
  stop();
  expect(passed.length).toBe(21);
});

test("a cursor moves past dropped events, so that they are not fetched again", () => {
  const { cursors, push } = throttle();
  push(0, 30, "30");
  expect(cursors).toEqual(["30"]);
});
