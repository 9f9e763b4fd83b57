import { describe, expect, it } from "vitest";
import { isRecord, parseJson } from "../../../machine-template/protocol/json.ts";

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

describe("isRecord", () => {
  it("accepts only objects", () => {
    expect([{}, { a: 1 }].map(isRecord)).toEqual([true, true]);
    expect([null, undefined, [], "text", 1, true].map(isRecord)).toEqual([false, false, false, false, false, false]);
  });
});
