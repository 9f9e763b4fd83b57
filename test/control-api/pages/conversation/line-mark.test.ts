import { expect, test } from "vitest";
import { BULLET, FENCE, HEADING } from "../../../../control-api/src/pages/conversation/line-mark.ts";

const LONG = 300_000;

test.each([
  ["a heading", HEADING, `## ${" ".repeat(LONG)}\r`],
  ["an item", BULLET, `- ${" ".repeat(LONG)}\r`],
])("a long line that ends oddly is %s, and is read once", (_what, mark, line) => {
  expect(mark.exec(line)?.[1]).toBe("\r");
});

test("a long line that is nearly a fence is read once", () => {
  expect(FENCE.exec(`${"~".repeat(LONG)}\``)).toBeNull();
  expect(FENCE.exec("~~~~ text")?.[1]).toBe("~~~~");
  expect(FENCE.exec("```ts")?.[1]).toBe("```");
});
