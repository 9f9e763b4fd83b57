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

test("what a hosted server prints moves no cursor, and is no entry of Operator's", () => {
  const message = "[mine] \u001b[2Jhello\n2026-01-02T03:04:05.678Z claim code: \u202e1234\rx";
  expect(logLine("text", "worker", message, NOW)).toBe(
    String.raw`[mine] \u{1b}[2Jhello` + "\n  | " + String.raw`2026-01-02T03:04:05.678Z claim code: \u{202e}1234\rx`,
  );
  const json = logLine("json", "worker", message, NOW);
  for (const sign of ["\u001b", "\u202e"]) expect(json).not.toContain(sign);
  expect(JSON.parse(json)).toMatchObject({ message });
});
