import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as z from "zod";
import { decodeFrame, encodeFrame, type Frame, FrameKind, HeadTooLarge } from "#protocol/frame.ts";
import { MAX_FRAME_BYTES, MAX_HEAD_BYTES } from "#protocol/limits.ts";

const exchange = fc.nat({ max: 0xffff_ffff });
const end = fc.boolean();
const body = fc.uint8Array({ maxLength: 300 });
const text = fc.string({ unit: "grapheme", maxLength: 40 });
const headers = fc.array(fc.tuple(text, text), { maxLength: 5 });

const frame: fc.Arbitrary<Frame> = fc.oneof(
  fc.record({
    kind: fc.constant(FrameKind.REQUEST),
    exchange,
    end,
    body,
    head: fc.record({ method: text, path: text, headers }),
  }),
  fc.record({
    kind: fc.constant(FrameKind.RESPONSE),
    exchange,
    end,
    body,
    head: fc.record({ status: fc.integer({ min: 200, max: 599 }), headers }),
  }),
  fc.record({ kind: fc.constant(FrameKind.BODY), exchange, end, body }),
  fc.record({ kind: fc.constant(FrameKind.CANCEL), exchange, reason: text }),
  fc.record({ kind: fc.constant(FrameKind.WINDOW), exchange, credit: fc.nat({ max: 0xffff_ffff }) }),
);

/** Exactly the heads that the hand-written decoder must accept. */
const Headers = z.array(z.tuple([z.string(), z.string()]));
const Head = {
  [FrameKind.REQUEST]: z.looseObject({ method: z.string(), path: z.string(), headers: Headers }),
  [FrameKind.RESPONSE]: z.looseObject({ status: z.int().min(200).max(599), headers: Headers }),
};

function opening(kind: number, head: string, length = new TextEncoder().encode(head).length): Uint8Array {
  const bytes = new TextEncoder().encode(head);
  const message = new Uint8Array(10 + bytes.length);
  message.set([kind, 0, 0, 0, 0, 1]);
  new DataView(message.buffer).setUint32(6, length);
  message.set(bytes, 10);
  return message;
}

describe("a frame", () => {
  it("is decoded as it was encoded, whatever its kind, exchange, head and body", () => {
    fc.assert(
      fc.property(frame, (one) => {
        expect(decodeFrame(encodeFrame(one))).toEqual(one);
      }),
    );
  });

  it("is read in the same way from the middle of a larger buffer", () => {
    fc.assert(
      fc.property(frame, fc.nat({ max: 9 }), (one, offset) => {
        const bytes = encodeFrame(one);
        const buffer = new Uint8Array(bytes.length + 20).fill(0xff);
        buffer.set(bytes, offset);
        expect(decodeFrame(buffer.subarray(offset, offset + bytes.length))).toEqual(one);
      }),
    );
  });

  it("has the documented layout, so that other implementations can read it", () => {
    expect([...encodeFrame({ kind: FrameKind.WINDOW, exchange: 0x0102_0304, credit: 0x0a0b_0c0d })]).toEqual([
      5, 0, 1, 2, 3, 4, 10, 11, 12, 13,
    ]);
    expect([...encodeFrame({ kind: FrameKind.BODY, exchange: 1, end: true, body: new Uint8Array([7]) })]).toEqual([
      3, 1, 0, 0, 0, 1, 7,
    ]);
    const head = { status: 200, headers: [] };
    const response = encodeFrame({
      kind: FrameKind.RESPONSE,
      exchange: 1,
      end: false,
      head,
      body: new Uint8Array([9]),
    });
    expect([...response.subarray(0, 10)]).toEqual([2, 0, 0, 0, 0, 1, 0, 0, 0, JSON.stringify(head).length]);
    expect(response.at(-1)).toBe(9);
  });

  it("keeps every byte of a body, including invalid UTF-8", () => {
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    const decoded = decodeFrame(encodeFrame({ kind: FrameKind.BODY, exchange: 1, end: false, body: all }));
    expect(decoded).toMatchObject({ body: all });
  });
});

describe("the decoder", () => {
  it("never throws, whatever the bytes", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        decodeFrame(bytes);
      }),
      { numRuns: 2_000 },
    );
  });

  it("never throws on a frame with one byte changed, or cut anywhere", () => {
    fc.assert(
      fc.property(frame, fc.nat(), fc.nat({ max: 255 }), fc.nat(), (one, at, value, cut) => {
        const bytes = encodeFrame(one);
        bytes[at % bytes.length] = value;
        decodeFrame(bytes);
        decodeFrame(bytes.subarray(0, cut % bytes.length));
      }),
      { numRuns: 1_000 },
    );
  });

  it.each([FrameKind.REQUEST, FrameKind.RESPONSE])(
    "accepts exactly the heads that the schema accepts (kind %i)",
    (kind) => {
      const anything = fc.oneof(text, fc.integer({ min: -1, max: 700 }), fc.double(), fc.constant(null), headers);
      const nearly = fc.record(
        {
          method: fc.oneof(text, anything),
          path: fc.oneof(text, anything),
          status: fc.oneof(fc.integer({ min: 190, max: 610 }), anything),
          headers: fc.oneof(
            headers,
            fc.array(fc.oneof(fc.array(text, { maxLength: 3 }), anything), { maxLength: 2 }),
            anything,
          ),
          extra: anything,
        },
        { requiredKeys: [] },
      );
      fc.assert(
        fc.property(fc.oneof({ weight: 4, arbitrary: nearly }, { weight: 1, arbitrary: fc.jsonValue() }), (head) => {
          const json = JSON.stringify(head);
          const expected = Head[kind].safeParse(JSON.parse(json));
          const decoded = decodeFrame(opening(kind, json));
          expect(decoded !== null).toBe(expected.success);
          if (expected.success) expect(decoded).toMatchObject({ head: expected.data });
        }),
        { numRuns: 1_000 },
      );
    },
  );

  it.each([
    ["nothing at all", []],
    ["less than a header", [3, 0, 0, 0, 0]],
    ["kind 0", [0, 0, 0, 0, 0, 1]],
    ["a kind of a later version", [6, 0, 0, 0, 0, 1]],
    ["a flag of a later version", [3, 2, 0, 0, 0, 1]],
    ["both flags", [3, 3, 0, 0, 0, 1]],
    ["a window without its credit", [5, 0, 0, 0, 0, 1, 0, 0, 1]],
    ["a window with too much", [5, 0, 0, 0, 0, 1, 0, 0, 0, 1, 0]],
    ["a cancel whose reason is no UTF-8", [4, 0, 0, 0, 0, 1, 0xff, 0xfe]],
    ["a head without its length", [1, 0, 0, 0, 0, 1, 0, 0]],
  ])("refuses %s", (_, bytes) => {
    expect(decodeFrame(Uint8Array.from(bytes))).toBeNull();
  });

  it("refuses a head that claims more bytes than there are, or than a head may have", () => {
    const head = JSON.stringify({ status: 200, headers: [] });
    expect(decodeFrame(opening(FrameKind.RESPONSE, head))).not.toBeNull();
    expect(decodeFrame(opening(FrameKind.RESPONSE, head, head.length + 1))).toBeNull();
    expect(decodeFrame(opening(FrameKind.RESPONSE, head, 0xffff_ffff))).toBeNull();
    const headOf = (bytes: number): string => head.padEnd(bytes, " ");
    expect(decodeFrame(opening(FrameKind.RESPONSE, headOf(MAX_HEAD_BYTES)))).not.toBeNull();
    expect(decodeFrame(opening(FrameKind.RESPONSE, headOf(MAX_HEAD_BYTES + 1)))).toBeNull();
  });

  it("refuses a head that is cut in the middle of a character", () => {
    const json = JSON.stringify({ status: 200, headers: [["x", "€"]] });
    const whole = opening(FrameKind.RESPONSE, json);
    expect(decodeFrame(whole)).not.toBeNull();
    const broken = whole.slice();
    broken[broken.indexOf(0x82)] = 0x20;
    expect(decodeFrame(broken)).toBeNull();
  });

  it("refuses a frame above the size limit, and accepts one at the limit", () => {
    const message = new Uint8Array(MAX_FRAME_BYTES + 1);
    message[0] = FrameKind.BODY;
    expect(decodeFrame(message)).toBeNull();
    expect(decodeFrame(message.subarray(0, MAX_FRAME_BYTES))).not.toBeNull();
  });
});

describe("the encoder", () => {
  it("throws instead of sending a head that its peer would refuse", () => {
    const headOf = (value: string): Frame => ({
      kind: FrameKind.REQUEST,
      exchange: 1,
      end: true,
      head: { method: "GET", path: "/mcp", headers: [["x", value]] },
      body: new Uint8Array(0),
    });
    expect(() => encodeFrame(headOf('"'.repeat(MAX_HEAD_BYTES / 2)))).toThrow(HeadTooLarge);
    const fits = encodeFrame(headOf("x".repeat(MAX_HEAD_BYTES - 100)));
    expect(decodeFrame(fits)).not.toBeNull();
  });
});
