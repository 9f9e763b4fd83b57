import { describe, expect, it } from "vitest";
import { hasTooManyValues, isRecord, MAX_JSON_VALUES, parseJson } from "../../../machine-template/protocol/json.ts";

describe("parseJson", () => {
  it.each([
    ["null", null],
    ["0", 0],
    ['{"a":[1]}', { a: [1] }],
  ])("reads %s", (text, value) => {
    expect(parseJson(text)).toEqual(value);
  });

  it.each(["", "undefined", '{"cut":', "<html>502 Bad Gateway</html>"])("returns undefined for %j", (text) => {
    expect(parseJson(text)).toBeUndefined();
  });
});

describe("whether a JSON text has too many values is told of one", () => {
  const most = MAX_JSON_VALUES;
  it.each([
    ["as many numbers as it may", `[${"1,".repeat(most - 1)}1]`, false],
    ["more numbers", `[${"1,".repeat(most)}1]`, true],
    ["more empty objects", `[${"{},".repeat(most)}1]`, true],
    ["more members", `{${'"a":1,'.repeat(most)}"a":1}`, true],
    ["a deeper nesting", "[".repeat(most + 1), true],
    [
      "as many commas and brackets in a string, also behind escaped quotation marks",
      JSON.stringify({ text: `\\"[{,`.repeat(most) }),
      false,
    ],
    [
      "a string that ends with an escaped backslash, and more numbers behind it",
      `["\\\\",${"1,".repeat(most)}1]`,
      true,
    ],
    ["a string without an end", `["${",".repeat(2 * most)}`, false],
  ])("with %s", (_, text, isTooMuch) => {
    expect(hasTooManyValues(text)).toBe(isTooMuch);
    expect(isTooMuch && parseJson(text) !== undefined).toBe(false);
  });
});

describe("isRecord", () => {
  it("accepts only objects", () => {
    expect([{}, { a: 1 }].map(isRecord)).toEqual([true, true]);
    expect([null, undefined, [], "text", 1, true].map(isRecord)).toEqual([false, false, false, false, false, false]);
  });
});
