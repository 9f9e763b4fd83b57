import { aroundEach, describe, expect, it, vi } from "vitest";
import { PUSH_INTERVAL_MS } from "#protocol/limits.ts";
import { Reporter } from "../../../machine-template/src/reporter.ts";
import { onOwnTimers } from "../../support/own-timers.ts";

aroundEach((runTest) => onOwnTimers(runTest));

/** A reporter whose reports arrive at once, and when each was sent, milliseconds after its making. */
function reporter(): { report: () => void; sentMs: number[] } {
  const sentMs: number[] = [];
  const fromMs = Date.now();
  const answer = async (): Promise<Response> => {
    sentMs.push(Date.now() - fromMs);
    return new Response();
  };
  const position = { epoch: "e", seq: 1 };
  const presence = { online: true, epoch: 1, connectedAtMs: 1, lastSeenMs: 1, position, template: "t" };
  const made = new Reporter(
    { OWNER: "owner", SLUG: "attic", REPORT_KEY: "key", CONTROL: { fetch: answer } as unknown as Fetcher },
    {
      presence: () => presence,
      push: () => ({ after: 0, events: [], position, gap: false, more: false }),
      arrived: () => false,
      failed: () => Promise.reject(new Error("a report failed")),
      refused: () => undefined,
    },
  );
  return { report: () => made.report(), sentMs };
}

describe("what happens on a machine is reported", () => {
  it("within a quarter of a second, also in the middle of a stream of events", async () => {
    const { report, sentMs } = reporter();
    const happenedMs: number[] = [];
    // At every time of the interval after an earlier report.
    for (let atMs = 0; atMs <= 4 * PUSH_INTERVAL_MS; atMs += 30) {
      happenedMs.push(atMs);
      report();
      await vi.advanceTimersByTimeAsync(30);
    }
    await vi.advanceTimersByTimeAsync(PUSH_INTERVAL_MS);
    for (const atMs of happenedMs) {
      const reportedMs = sentMs.find((one) => one >= atMs) ?? Number.POSITIVE_INFINITY;
      expect(reportedMs - atMs, `what happened at ${atMs} ms`).toBeLessThanOrEqual(PUSH_INTERVAL_MS);
    }
    expect(sentMs.length).toBeLessThanOrEqual(6);
    // The rest of the way to a subscriber waits for no timer, so the whole of it takes well under a second.
    expect(PUSH_INTERVAL_MS).toBeLessThanOrEqual(250);
  });

  it("within a quarter of a second after the clock was set back", async () => {
    const { report, sentMs } = reporter();
    report();
    await vi.advanceTimersByTimeAsync(PUSH_INTERVAL_MS);
    vi.setSystemTime(Date.now() - 24 * 60 * 60_000);
    report();
    await vi.advanceTimersByTimeAsync(PUSH_INTERVAL_MS);
    expect(sentMs).toHaveLength(2);
  });
});
