import { expect, test } from "vitest";
import { parseJsonc } from "../../../scripts/local/jsonc.ts";

test("comments and trailing commas are removed, and strings stay unchanged", () => {
  const text = `// first
  { "url": "http://x/*not*/,]", /* two
  lines */ "escaped": "a\\"// b", "list": [1, 2, ], }`;
  expect(parseJsonc(text)).toEqual({ url: "http://x/*not*/,]", escaped: 'a"// b', list: [1, 2] });
  expect(() => parseJsonc("{ nope }")).toThrow(SyntaxError);
});
