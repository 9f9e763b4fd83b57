import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { Alarm, type Job } from "../../../machine-template/src/alarm.ts";
import { forget, jobs, within } from "./support/connector.ts";

const START_MS = Date.parse("2030-01-01T00:00:00Z");

afterEach(forget);

/** Moves the clock to `START_MS` plus `ms`, which is far from every alarm of the runtime itself. */
function at(ms: number): void {
  vi.useFakeTimers({ toFake: ["Date"], now: START_MS + ms });
  onTestFinished(() => void vi.useRealTimers());
}

describe("the alarm", () => {
  it("is set to the earliest job, and cleared when there is none", async () => {
    at(0);
    const times = await within(async (_, { storage }) => {
      const alarm = new Alarm(storage);
      const seen: (number | null)[] = [];
      const look = async (): Promise<unknown> => seen.push(await storage.getAlarm());
      await alarm.set("checkPresence", 60_000);
      await look();
      await alarm.set("report", 5_000);
      await look();
      await alarm.cancel("report");
      await look();
      await alarm.cancel("checkPresence");
      await look();
      return seen;
    });
    expect(times).toEqual([START_MS + 60_000, START_MS + 5_000, START_MS + 60_000, null]);
  });

  it("runs only due jobs, with their stored failure counts, even after a restart of the script", async () => {
    at(0);
    await within(async (_, { storage }) => {
      const alarm = new Alarm(storage);
      await alarm.set("checkPresence", 60_000);
      await alarm.set("report", 5_000, 3);
    });
    at(5_000);
    const ran = await within(async (_, { storage }) => {
      const calls: [Job, number][] = [];
      await new Alarm(storage).fire(async (job, failures) => void calls.push([job, failures]));
      return { calls, alarm: await storage.getAlarm() };
    });
    expect(ran).toEqual({ calls: [["report", 3]], alarm: START_MS + 60_000 });
    expect(await jobs()).toEqual({ checkPresence: { atMs: START_MS + 60_000, failures: 0 } });
  });

  it("moves a job that a clock which was set back has made late, and no other", async () => {
    at(24 * 60 * 60_000);
    await within(async (_, { storage }) => new Alarm(storage).set("checkPresence", 60_000));
    at(0);
    await within(async (_, { storage }) => {
      const alarm = new Alarm(storage);
      await alarm.set("report", 5_000, 3);
      await alarm.setNoLater("checkPresence", 60_000);
      await alarm.setNoLater("report", 60_000);
    });
    expect(await jobs()).toEqual({
      checkPresence: { atMs: START_MS + 60_000, failures: 0 },
      report: { atMs: START_MS + 5_000, failures: 3 },
    });
  });

  it("runs a job that throws again after a minute, and the others at once", async () => {
    const said = vi.spyOn(console, "error").mockReturnValue(undefined);
    onTestFinished(() => said.mockRestore());
    at(0);
    const alarm = await within(async (_, { storage }) => {
      const due = new Alarm(storage);
      await due.set("report", 0);
      await due.set("checkPresence", 0);
      const ran: [Job, number][] = [];
      await due.fire(async (job, failures) => {
        ran.push([job, failures]);
        if (job === "report") throw new Error("disk full");
      });
      return { ran, next: await storage.getAlarm() };
    });
    expect(alarm).toEqual({
      ran: [
        ["report", 0],
        ["checkPresence", 0],
      ],
      next: START_MS + 60_000,
    });
    expect(said.mock.calls).toEqual([["report failed", "Error: disk full"]]);
    expect(await jobs()).toEqual({ report: { atMs: START_MS + 60_000, failures: 1 } });
  });

  it("runs a job that throws again at the time to which it has set itself", async () => {
    const said = vi.spyOn(console, "error").mockReturnValue(undefined);
    onTestFinished(() => said.mockRestore());
    at(0);
    await within(async (_, { storage }) => {
      const alarm = new Alarm(storage);
      await alarm.set("report", 0);
      await alarm.fire(async () => {
        await alarm.set("report", 5_000, 3);
        throw new Error("disk full");
      });
    });
    expect(await jobs()).toEqual({ report: { atMs: START_MS + 5_000, failures: 3 } });
  });

  it("keeps jobs that a job sets while it runs", async () => {
    at(0);
    await within(async (_, { storage }) => {
      const alarm = new Alarm(storage);
      await alarm.set("checkPresence", 0);
      await alarm.fire(() => alarm.set("checkPresence", 60_000));
    });
    expect(await jobs()).toEqual({ checkPresence: { atMs: START_MS + 60_000, failures: 0 } });
  });

  it("runs all jobs when an older version set the alarm, because that stored its jobs elsewhere", async () => {
    const ran = await within(async (_, { storage }) => {
      storage.kv.delete("jobs");
      const calls: Job[] = [];
      const fire = (): Promise<void> => new Alarm(storage).fire(async (job) => void calls.push(job));
      await fire();
      await fire();
      return calls;
    });
    expect(ran).toEqual(["report", "checkPresence"]);
  });
});
