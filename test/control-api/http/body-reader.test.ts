import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BodyReader, inspected } from "#protocol/body-reader.ts";

const KB = 1024;

/** A body that the runtime holds, as that of a request or of a script's answer. */
function native(bytes: Uint8Array): ReadableStream<Uint8Array> {
  const { body } = new Response(bytes);
  if (body === null) throw new Error("a response with bytes has a body");
  return body;
}

function made(chunks: readonly Uint8Array[], cancelled: (reason: unknown) => void = () => undefined) {
  const left = [...chunks];
  return new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = left.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: cancelled,
  });
}

async function all(body: ReadableStream<Uint8Array>): Promise<{ bytes: number[]; lengths: number[] }> {
  const reader = new BodyReader(body);
  const bytes: number[] = [];
  const lengths: number[] = [];
  for (let piece = await reader.read(); piece !== null; piece = await reader.read()) {
    for (const byte of piece) bytes.push(byte);
    lengths.push(piece.byteLength);
  }
  return { bytes, lengths };
}

describe("a body that is read in pieces", () => {
  it("is whole, however its sender cut it", async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 9_000 }), { maxLength: 8 });
    await fc.assert(
      fc.asyncProperty(chunks, fc.boolean(), async (parts, isNative) => {
        const sent = parts.flatMap((part) => [...part]);
        const body = isNative ? native(Uint8Array.from(sent)) : made(parts);
        expect((await all(body)).bytes).toEqual(sent);
      }),
      { numRuns: 100 },
    );
  });

  it("comes in few pieces, none of them larger than what came before", async () => {
    const { lengths } = await all(native(new Uint8Array(1024 * KB)));
    expect(lengths.slice(0, 6)).toEqual([4 * KB, 4 * KB, 8 * KB, 16 * KB, 32 * KB, 64 * KB]);
    expect(lengths.length).toBe(5 + 15);
  });

  it("takes no more room than what has come, so that many that send little take little", async () => {
    const passage = new IdentityTransformStream();
    const writer = passage.writable.getWriter();
    const reader = new BodyReader(passage.readable);
    for (let sent = 0; sent < 40; sent += 1) {
      const [, piece] = await Promise.all([writer.write(new Uint8Array(100)), reader.read()]);
      expect(piece?.byteLength).toBe(100);
      expect(reader.roomBytes).toBe(4 * KB);
    }
    await reader.cancel();
  });

  it("tells its sender why nobody wants more of it", async () => {
    const reasons: unknown[] = [];
    const reader = new BodyReader(made([new Uint8Array(10)], (reason) => reasons.push(reason)));
    await reader.cancel("enough");
    expect(reasons).toEqual(["enough"]);
  });

  it.each(["of the runtime", "of JavaScript"])("fails if it breaks off: one %s", async (kind) => {
    const passage = new IdentityTransformStream();
    const writer = passage.writable.getWriter();
    const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("gone")) });
    const reader = new BodyReader(kind === "of JavaScript" ? broken : passage.readable);
    const read = expect(reader.read()).rejects.toThrow("gone");
    await writer.abort(new Error("gone")).catch(() => undefined);
    await read;
  });

  it("is not read by two", () => {
    const body = native(new Uint8Array(1));
    body.getReader();
    expect(() => new BodyReader(body)).toThrow(TypeError);
  });
});

describe("a body that is looked at on its way", () => {
  it("passes whole, each piece after it was looked at", async () => {
    const sent = Uint8Array.from({ length: 200 * KB }, (_, index) => index % 251);
    let looked = 0;
    const passed = inspected(native(sent), async (piece) => void (looked += piece.byteLength));
    expect(new Uint8Array(await new Response(passed).arrayBuffer())).toEqual(sent);
    expect(looked).toBe(sent.byteLength);
  });

  it("breaks off before the piece that must not pass, and its sender is told", async () => {
    const reasons: unknown[] = [];
    const body = made([Uint8Array.of(1), Uint8Array.of(2), Uint8Array.of(3)], (reason) => reasons.push(reason));
    const refusal = new Error("not 2");
    const reader = inspected(body, async ([byte]) => {
      if (byte === 2) throw refusal;
    }).getReader();
    expect((await reader.read()).value).toEqual(Uint8Array.of(1));
    await expect(reader.read()).rejects.toThrow(refusal);
    expect(reasons).toEqual([refusal]);
  });

  it("tells its sender when its reader has gone", async () => {
    const reasons: unknown[] = [];
    await inspected(
      made([Uint8Array.of(1)], (reason) => reasons.push(reason)),
      async () => undefined,
    ).cancel("gone");
    expect(reasons).toEqual(["gone"]);
  });
});
