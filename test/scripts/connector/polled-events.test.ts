import { expect, it } from "vitest";
import { polledEvents } from "../../../scripts/connector/polled-events.ts";

const NOW = 1_700_000_000_000;
const EVENT = { atMs: 5, type: "message", session: "s1", data: { text: "hi" } };

it.each([
  ["structured content", { structuredContent: { events: [EVENT] } }],
  ["JSON text with events", { content: [{ type: "text", text: JSON.stringify({ events: [EVENT] }) }] }],
  ["JSON text that is an array", { content: [{ type: "text", text: JSON.stringify([EVENT]) }] }],
  [
    "text for people before it",
    {
      content: [
        { type: "text", text: "1 event" },
        { type: "text", text: JSON.stringify([EVENT]) },
      ],
    },
  ],
])("the reader finds the events in %s", (_, result) => {
  expect(polledEvents(result, NOW)).toEqual({ events: [EVENT], cursor: null });
});

it.each([
  ["nothing", {}],
  ["text", { content: [{ type: "text", text: "none" }] }],
  ["no result", null],
  ["a number", 5],
])("the reader finds no events in %s", (_, result) => {
  expect(polledEvents(result, NOW)).toEqual({ events: [], cursor: null });
});

it("the reader returns the cursor", () => {
  expect(polledEvents({ structuredContent: { events: [], cursor: "c1" } }, NOW).cursor).toBe("c1");
});

it("the reader takes type, session and time from the names that other servers use, and keeps the whole event as its data", () => {
  const theirs = { kind: "idle", session_id: "s2", timestamp: "2026-01-02T03:04:05Z", cost: 1 };
  expect(polledEvents({ structuredContent: { events: [theirs] } }, NOW).events).toEqual([
    { atMs: Date.parse("2026-01-02T03:04:05Z"), type: "idle", session: "s2", data: theirs },
  ]);
});

it("the reader treats small numbers as seconds, and a missing time as now", () => {
  const [seconds, none, bare] = polledEvents([], NOW).events.concat(
    polledEvents({ structuredContent: [{ type: "a", ts: 1_700_000_000 }, { type: "b" }, "word"] }, NOW).events,
  );
  expect(seconds?.atMs).toBe(NOW);
  expect(none?.atMs).toBe(NOW);
  expect(bare).toEqual({ atMs: NOW, type: "event", session: null, data: "word" });
});
