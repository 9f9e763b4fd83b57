import { expect, test } from "vitest";
import { tableOf } from "../../../../scripts/codez/commands/table.ts";

test("a table never prints text that moves the terminal's cursor", () => {
  expect(tableOf([["A"], ["\u001B[2Jgone"]])).toBe(`A\n${String.raw`\u{1b}[2Jgone`}`);
});

test("a table may have more rows than a call has arguments", () => {
  const rows = Array.from({ length: 200_000 }, () => ["x"]);
  expect(tableOf([["A"], ...rows, ["long"]])).toHaveLength(2 + 200_000 * 2 + 4);
});
