import { expect, test } from "vitest";
import { logLine } from "../../../scripts/local/log-line.ts";

const NOW = new Date("2026-01-02T03:04:05.678Z");

test("a line for people has a time if it is Operator's, and otherwise stays the Worker's own", () => {
  expect(logLine("text", "operator", "started", NOW)).toBe("2026-01-02T03:04:05.678Z started");
  expect(logLine("text", "worker", "    at fetch (app.ts:1)", NOW)).toBe("    at fetch (app.ts:1)");
});

test("a line for programs is one JSON object, whatever the message contains", () => {
  const message = 'a "quoted"\nline \u{1f4a5}';
  const line = logLine("json", "worker", message, NOW);
  expect(line).not.toContain("\n");
  expect(JSON.parse(line)).toEqual({ time: NOW.toISOString(), source: "worker", message });
});
