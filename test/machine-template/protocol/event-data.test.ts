import { expect, test } from "vitest";
import { eventData } from "#protocol/event-data.ts";
import { MAX_EVENT_BYTES } from "#protocol/limits.ts";

test("data that is nested too deep to be written does not keep the other events from being stored", () => {
  const deep: unknown = JSON.parse(`${"[".repeat(50_000)}${"]".repeat(50_000)}`);
  expect(JSON.parse(eventData({ deep }))).toEqual({ truncated: true, reason: "nested too deep" });
});

test("data is written as JSON, or its size if it is too large", () => {
  expect(eventData(undefined)).toBe("null");
  expect(JSON.parse(eventData({ text: "é" }))).toEqual({ text: "é" });
  const large = "x".repeat(MAX_EVENT_BYTES);
  expect(JSON.parse(eventData(large))).toEqual({ truncated: true, bytes: MAX_EVENT_BYTES + 2 });
});
