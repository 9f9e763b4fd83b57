import { expect, test } from "vitest";
import { tableOf } from "../../../../scripts/codez/commands/table.ts";

test("a table never prints text that moves the terminal's cursor", () => {
  expect(tableOf([["A"], ["\u001B[2Jgone"]])).toEqual(["A", String.raw`\u{1b}[2Jgone`]);
});

test("a table may have more rows than a call has arguments", () => {
  const rows = Array.from({ length: 200_000 }, () => ["x"]);
  expect(tableOf([["A"], ...rows, ["long"]])).toHaveLength(200_002);
});

test("a cell without end stays in its own row, and pads no other", () => {
  const long = "x".repeat(5_000);
  const [head, first, second] = tableOf([
    ["NAME", "COMPUTER", "AGENT"],
    ["evil", long, "a"],
    ["attic", "attic.local", "b"],
  ]);
  expect(first).toBe(`evil   ${long}  a`);
  expect(second).toBe(`attic  ${"attic.local".padEnd(40)}  b`);
  expect(head).toHaveLength("attic  ".length + 40 + "  AGENT".length);
});
