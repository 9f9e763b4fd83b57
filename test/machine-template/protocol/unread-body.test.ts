import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { discardUnread } from "#protocol/unread-body.ts";

function requestWith(body: ReadableStream<Uint8Array> | null): Request {
  return new Request("https://operator.example/mcp", { method: "POST", body, duplex: "half" } as RequestInit);
}

describe("a body that nobody has read", () => {
  beforeEach(() => void vi.useFakeTimers());
  afterEach(() => void vi.useRealTimers());

  test("is read to its end", async () => {
    let left = 100;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        if ((left -= 1) < 0) controller.close();
        else controller.enqueue(new Uint8Array(1_000));
      },
    });
    await discardUnread(requestWith(body));
    expect(left).toBe(-1);
    expect(vi.getTimerCount()).toBe(0);
  });

  test("that never ends is read for a second", async () => {
    let isDone = false;
    const done = discardUnread(requestWith(new ReadableStream())).then(() => (isDone = true));
    await vi.advanceTimersByTimeAsync(900);
    expect(isDone).toBe(false);
    await vi.advanceTimersByTimeAsync(200);
    await done;
  });

  test("that is larger than any call is not read to its end", async () => {
    let taken = 0;
    const body = new ReadableStream<Uint8Array>({
      pull(controller) {
        taken += 1;
        controller.enqueue(new Uint8Array(1024 * 1024));
      },
    });
    await discardUnread(requestWith(body));
    expect(taken).toBeLessThan(20);
  });

  test("whose sender has gone is no error", async () => {
    const body = new ReadableStream<Uint8Array>({ pull: (controller) => controller.error(new Error("gone")) });
    await expect(discardUnread(requestWith(body))).resolves.toBeUndefined();
  });
});

test("a body that was read, and a request without one, are left alone", async () => {
  const read = new Request("https://operator.example/mcp", { method: "POST", body: "all" });
  await read.text();
  await discardUnread(read);
  await discardUnread(requestWith(null));
});
