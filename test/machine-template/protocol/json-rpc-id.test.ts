import * as fc from "fast-check";
import { expect, test } from "vitest";
import { requestIdsOf } from "#protocol/json-rpc-id.ts";
import { BODIES } from "../../attacks/corpus/hostile-text.ts";

const encoder = new TextEncoder();

const id = fc.oneof(fc.string({ unit: "grapheme" }), fc.integer());
const request = fc.record({ jsonrpc: fc.constant("2.0"), id, method: fc.string(), params: fc.jsonValue() });
const response = fc.record({ jsonrpc: fc.constant("2.0"), id, result: fc.jsonValue() });
const notification = fc.record({ jsonrpc: fc.constant("2.0"), method: fc.string() });

test("the ids of a request or batch are read unchanged, without those of answers and notifications", () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(request, response, notification)), (messages) => {
      const expected = messages.flatMap((one) => ("id" in one && "method" in one ? [one.id] : []));
      expect(requestIdsOf(encoder.encode(JSON.stringify(messages)))).toEqual(expected);
      const [first] = messages;
      if (first !== undefined)
        expect(requestIdsOf(encoder.encode(JSON.stringify(first)))).toEqual(
          "id" in first && "method" in first ? [first.id] : [],
        );
    }),
  );
});

test.each(BODIES)("a body of any kind has ids that can be sent back, or none: %.60s", (body) => {
  for (const one of requestIdsOf(encoder.encode(body))) expect(["string", "number"]).toContain(typeof one);
});

test("bytes that are not text have no ids", () => {
  const property = fc.property(fc.uint8Array(), (bytes) => {
    expect(Array.isArray(requestIdsOf(bytes))).toBe(true);
  });
  fc.assert(property);
  expect(requestIdsOf(null)).toEqual([]);
});
