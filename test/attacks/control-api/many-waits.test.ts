// Root cause: of a person's waits for events and revocations the oldest was answered early when there were more than a thousand. Whoever waits comes
// back at once when answered, so from then on the waits replaced each other without end. 2,400 long polls and streams with a read-only token made
// the gate answer nobody any more, even after all of their clients had left.
import { expect, test, vi } from "vitest";
import { MAX_WAITING, Waiters } from "../../../control-api/src/history/waiters.ts";

const LONG_MS = 60_000;

test("more waits than are told of news do not wake each other, and the newest are told", async () => {
  vi.useFakeTimers();
  try {
    const waiters = new Waiters<string>();
    const ended: number[] = [];
    const all = Array.from({ length: MAX_WAITING + 5 }, (_, index) =>
      waiters.wait(() => true, LONG_MS).then(() => ended.push(index)),
    );
    await vi.advanceTimersByTimeAsync(LONG_MS / 2);
    expect(ended).toEqual([]);
    waiters.announce("news");
    await vi.advanceTimersByTimeAsync(0);
    expect(ended).toHaveLength(MAX_WAITING);
    expect(ended).not.toContain(4);
    await vi.advanceTimersByTimeAsync(LONG_MS / 2);
    await Promise.all(all);
  } finally {
    vi.useRealTimers();
  }
});
