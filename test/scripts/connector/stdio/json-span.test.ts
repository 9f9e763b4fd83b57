import * as fc from "fast-check";
import { expect, it } from "vitest";
import { membersOf, spanAt, splice } from "../../../../scripts/connector/stdio/json-span.ts";

it("the reader finds each member of any object where JSON.parse finds it, whatever the whitespace", () => {
  fc.assert(
    fc.property(
      fc.dictionary(fc.string(), fc.jsonValue()),
      fc.constantFrom(undefined, 1, "\t", " \n\r"),
      (object, space) => {
        const json = Buffer.from(` ${JSON.stringify(object, null, space)}`).toString("latin1");
        const members = membersOf(json) ?? [];
        const found = [...members].map(([key, { start, end }]) => [
          Buffer.from(key, "latin1").toString(),
          JSON.parse(Buffer.from(json.slice(start, end), "latin1").toString()),
        ]);
        expect(Object.fromEntries(found)).toEqual(JSON.parse(JSON.stringify(object)));
      },
    ),
  );
});

it("the reader replaces what it found and nothing else", () => {
  const json = '{ "id" : 1e3 ,"params":{"_meta":{"progressToken":"a\\"}"} , "x":[{"id":2}]},"jsonrpc":"2.0"}';
  const spans = [spanAt(json, "params", "_meta", "progressToken"), spanAt(json, "id")].filter((span) => span !== null);
  expect(
    splice(
      json,
      spans.map((span) => ({ span, text: "7" })),
    ),
  ).toBe('{ "id" : 7 ,"params":{"_meta":{"progressToken":7} , "x":[{"id":2}]},"jsonrpc":"2.0"}');
});

it("the reader uses the last of two members of one name, as JSON.parse does", () => {
  const json = '{"id":1,"id":2}';
  const span = spanAt(json, "id");
  expect(json.slice(span?.start, span?.end)).toBe("2");
});

it("the reader survives text that is not JSON", () => {
  fc.assert(
    fc.property(fc.string(), (text) => {
      membersOf(text);
      membersOf(`{"a":${text}`);
      spanAt(`{${text}}`, "a", "b");
    }),
  );
  expect(membersOf("[1]")).toBeNull();
});
