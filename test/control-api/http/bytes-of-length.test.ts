import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { bytesOfLength } from "../../../control-api/src/http/bytes-of-length.ts";

/** A body of bytes as the network brings them. `fails`: it breaks off after these. */
function arriving(chunks: readonly Uint8Array[], fails = false): ReadableStream {
  const left = [...chunks];
  return new ReadableStream({
    type: "bytes",
    pull(controller) {
      const chunk = left.shift();
      if (chunk !== undefined) return controller.enqueue(Uint8Array.from(chunk));
      if (fails) return controller.error(new Error("Network connection lost."));
      controller.close();
      controller.byobRequest?.respond(0);
    },
  });
}

const CHUNKS = fc.array(fc.uint8Array({ minLength: 1, maxLength: 40 }), { maxLength: 20 });

describe("a body's bytes", () => {
  it("are those that were announced, however they were cut, or none", async () => {
    await fc.assert(
      fc.asyncProperty(CHUNKS, fc.integer({ min: -3, max: 3 }), async (chunks, beyond) => {
        const all = chunks.flatMap((chunk) => [...chunk]);
        const announced = Math.max(0, all.length + beyond);
        const read = bytesOfLength(arriving(chunks), announced);
        if (announced === all.length) expect([...(await read)]).toEqual(all);
        else
          await expect(read).rejects.toThrow(
            `${announced > all.length ? "fewer" : "more"} bytes than the ${announced}`,
          );
      }),
      { numRuns: 300 },
    );
  });

  it("are not taken for all of them when they break off", async () => {
    await expect(bytesOfLength(arriving([new Uint8Array(5)], true), 5)).rejects.toThrow("Network connection lost.");
  });

  it("are not read beyond one more than were announced", async () => {
    let pulled = 0;
    let isCancelled = false;
    const endless = new ReadableStream({
      type: "bytes",
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(10));
      },
      cancel: () => void (isCancelled = true),
    });
    await expect(bytesOfLength(endless, 25)).rejects.toThrow("more bytes than the 25");
    expect(isCancelled).toBe(true);
    expect(pulled).toBeLessThan(10);
  });

  it("are those of a response that was made from text", async () => {
    const { body } = new Response("hello");
    expect(new TextDecoder().decode(await bytesOfLength(body ?? arriving([]), 5))).toBe("hello");
  });
});
