import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeCursor, encodeCursor, machineIn } from "../../../control-api/src/events/cursor.ts";
import { shown } from "../../../control-api/src/http/shown-machine.ts";

const position = fc.record({ epoch: fc.stringMatching(/^[0-9a-f]{8}$/), seq: fc.maxSafeNat() });

const encoded = (value: unknown): string => btoa(typeof value === "string" ? value : JSON.stringify(value));

describe("a cursor", () => {
  it("returns the values that it was made from", () => {
    fc.assert(fc.property(position, (one) => void expect(decodeCursor(encodeCursor(one))).toEqual(one)));
  });

  it("of one machine also returns which one it was", () => {
    const machine = fc.record({
      name: fc.stringMatching(/^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$/),
      identity: fc.string({ minLength: 1 }),
    });
    fc.assert(
      fc.property(position, machine, (one, about) => {
        const cursor = encodeCursor(one, about);
        expect([decodeCursor(cursor), machineIn(cursor)]).toEqual([one, shown(about)]);
        expect(cursor).toMatch(/^[\w.-]{10,90}$/);
      }),
    );
  });

  it("of several machines, or of one of which nobody knows which computer it is, names none", () => {
    fc.assert(
      fc.property(position, fc.constantFrom(null, { name: "attic", identity: "" }), (one, about) => {
        const cursor = encodeCursor(one, about);
        expect([decodeCursor(cursor), machineIn(cursor)]).toEqual([one, null]);
      }),
    );
  });

  it("is short, and needs no escaping in a URL, a header or a model's arguments", () => {
    fc.assert(fc.property(position, (one) => void expect(encodeCursor(one)).toMatch(/^[\w-]{10,20}$/)));
  });

  it.each([
    ["nothing", ""],
    ["no letters of ours", "ä"],
    ["another epoch's form", "0a1b2c3-1"],
    ["without a number", "0a1b2c3d-"],
    ["a number before the beginning", "0a1b2c3d--1"],
    ["a number between two events", "0a1b2c3d-1.5"],
    ["a number that is too large to count to", "0a1b2c3d-zzzzzzzzzzz"],
    ["too long", "A".repeat(10_000_000)],
  ])("is refused when it is %s", (_, text) => {
    expect(decodeCursor(text)).toBeNull();
  });

  it.each([
    [
      "of several machines",
      [
        ["attic", "0a1b2c3d", 5],
        ["cellar", "4e5f6071", 1],
      ],
    ],
    ["of no machine", []],
  ])("of version 0.2, %s, is recognized as expired", (_, positions) => {
    const former = encoded(positions).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    expect(decodeCursor(former)).toBe("expired");
  });

  it("never throws, whatever its text", () => {
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
