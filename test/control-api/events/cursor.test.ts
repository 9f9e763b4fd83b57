import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeCursor, encodeCursor, type Vector } from "../../../control-api/src/events/cursor.ts";

const name = fc.stringMatching(/^[a-z0-9](-?[a-z0-9]){0,15}$/);
const position = fc.record({ epoch: fc.string({ unit: "grapheme-ascii", maxLength: 12 }), seq: fc.maxSafeNat() });
const vector = fc.dictionary(name, position, { maxKeys: 20, noNullPrototype: true });

const encoded = (value: unknown): string => btoa(typeof value === "string" ? value : JSON.stringify(value));

describe("a cursor", () => {
  it("says what was put in it", () => {
    fc.assert(
      fc.property(vector, (one) => {
        expect(decodeCursor(encodeCursor(one))).toEqual(one);
      }),
    );
  });

  it("can stand in an address, a header and a model's arguments as it is", () => {
    fc.assert(
      fc.property(vector, (one) => {
        expect(encodeCursor(one)).toMatch(/^[\w-]+$/);
      }),
    );
  });

  it("holds the positions of a thousand machines", () => {
    const many: Vector = Object.fromEntries(
      Array.from({ length: 1_000 }, (_, index) => [
        `machine-with-a-long-name-${index}`,
        { epoch: "0a1b2c3d", seq: 1_000_000 + index },
      ]),
    );
    expect(decodeCursor(encodeCursor(many))).toEqual(many);
  });

  it.each([
    ["nothing", ""],
    ["no Base64", "ä"],
    ["no JSON", encoded("{")],
    ["another shape", encoded({ attic: 1 })],
    ["no list of positions", encoded([["attic"]])],
    ["a position before the beginning", encoded([["attic", "e", -1]])],
    ["a position between two events", encoded([["attic", "e", 1.5]])],
    ["a position that is text", encoded([["attic", "e", "1"]])],
    ["too much", "A".repeat(10_000_000)],
  ])("is none when it is %s", (_, text) => {
    expect(decodeCursor(text)).toBeNull();
  });

  it("never throws, whatever it is", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.base64String(), fc.json({ stringUnit: "grapheme-ascii" }).map(encoded)),
        (text) => {
          decodeCursor(text);
        },
      ),
    );
  });
});
