import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesWithin } from "../../../control-api/src/http/bytes-within.ts";

function inChunks(chunks: readonly Uint8Array[], cancelled = (): void => undefined): Response {
  const left = [...chunks];
  const stream = new ReadableStream<Uint8Array>({
    pull(controller) {
      const chunk = left.shift();
      if (chunk === undefined) controller.close();
      else controller.enqueue(chunk);
    },
    cancel: cancelled,
  });
  return new Response(stream);
}

describe("a body's bytes", () => {
  it("are whole, however they were cut, up to the limit", async () => {
    const chunks = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 });
    await fc.assert(
      fc.asyncProperty(chunks, fc.nat(300), async (parts, limit) => {
        const all = parts.flatMap((part) => [...part]);
        const read = await bytesWithin(inChunks(parts), limit);
        expect(read === null ? null : [...read]).toEqual(all.length > limit ? null : all);
      }),
      { numRuns: 300 },
    );
  });

  it("are not read beyond the limit", async () => {
    let isCancelled = false;
    const endless = inChunks(
      Array.from({ length: 1_000 }, () => new Uint8Array(10)),
      () => void (isCancelled = true),
    );
    expect(await bytesWithin(endless, 25)).toBe(null);
    expect(isCancelled).toBe(true);
  });

  it("are none without a body", async () => {
    expect(await bytesWithin(new Response(null), 10)).toEqual(new Uint8Array());
  });

  it("are an error if the body breaks off", async () => {
    const broken = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("gone")) });
    await expect(bytesWithin(new Response(broken), 10)).rejects.toThrow("gone");
  });
});
