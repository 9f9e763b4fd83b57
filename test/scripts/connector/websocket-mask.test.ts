import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { mask } from "../../../scripts/connector/websocket-mask.ts";

/** RFC 6455, section 5.3, as it is written there. */
const byDefinition = (source: Uint8Array, key: Uint8Array): Uint8Array =>
  source.map((byte, at) => byte ^ (key[at % 4] ?? 0));

const key = fc.uint8Array({ minLength: 4, maxLength: 4 });
/** Around the length from which words are used. */
const length = fc.oneof(fc.nat(40), fc.integer({ min: 1_015, max: 1_060 }));

const bytesOf = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, at) => (at * 37 + 11) % 256);

describe("masking", () => {
  it("is as the specification says, wherever the frame lies in memory, and touches nothing beside it", () => {
    fc.assert(
      fc.property(key, length, fc.nat(9), fc.nat(9), fc.nat(9), (given, count, sourceAt, outputAt, offset) => {
        const source = bytesOf(sourceAt + count).subarray(sourceAt);
        const memory = new Uint8Array(outputAt + offset + count + 9).fill(0xee);
        mask(source, given, memory.subarray(outputAt), offset, count);
        const begin = outputAt + offset;
        expect(Buffer.compare(memory.slice(begin, begin + count), byDefinition(source, given))).toBe(0);
        expect([...memory.slice(0, begin), ...memory.slice(begin + count)].every((byte) => byte === 0xee)).toBe(true);
        expect(Buffer.compare(source, bytesOf(sourceAt + count).subarray(sourceAt))).toBe(0);
      }),
    );
  });

  it("can be done in place", () => {
    fc.assert(
      fc.property(key, length, fc.nat(9), (given, count, at) => {
        const source = bytesOf(at + count).subarray(at);
        const expected = byDefinition(source, given);
        mask(source, given, source, 0, count);
        expect(Buffer.compare(source, expected)).toBe(0);
      }),
    );
  });
});
