import { expect, test } from "vitest";
import { tableOf } from "../../../../scripts/codez/commands/table.ts";

test("a table shows no word that would move the terminal's cursor", () => {
  expect(tableOf([["A"], ["\u001B[2Jgone"]])).toBe(`A\n${String.raw`\u{1b}[2Jgone`}`);
});
