import { expect, it } from "vitest";
import { noteWithin } from "#protocol/keep-within.ts";

it("a map of what was noted last drops what was noted longest ago, and not what was noted again", () => {
  const map = new Map<string, number>();
  for (const [index, key] of ["a", "b", "c", "a", "d", "d"].entries()) noteWithin(map, 3, key, index);
  expect([...map]).toEqual([
    ["c", 2],
    ["a", 3],
    ["d", 5],
  ]);
});
