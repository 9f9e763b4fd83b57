import { afterEach, expect, it } from "vitest";
import counts from "../../../scripts/cost/counts.json";
import { CountedRows, type Rows } from "../../support/counted-rows.ts";
import { ask, forget, jobs, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

/** How often a test has looked at the jobs. Each look reads a row. */
let looks = 0;

/** Rows that the machine's object writes and reads while `work` runs, without those that the test reads. */
async function rowsOf(work: () => Promise<unknown>): Promise<Rows> {
  const rows = await within((_, { storage }) => new CountedRows(storage));
  const looksBefore = looks;
  await work();
  const { written, read } = await within(() => rows.end());
  return { written, read: read - (looks - looksBefore) };
}

async function namesOfJobs(): Promise<string[]> {
  looks += 1;
  return Object.keys(await jobs());
}

/** Lets a report that is gathered for 50 ms go out and be answered. */
async function untilReported(): Promise<void> {
  await expect.poll(namesOfJobs).not.toContain("report");
}

it("a call writes no row and receives one message from the machine", async () => {
  const connector = await TestConnector.greeted();
  await untilReported();
  const rows = await rowsOf(async () => {
    const call = ask("/mcp", { method: "POST", body: "{}" });
    const { exchange } = await connector.request();
    connector.respondJson(exchange, { id: 1, result: {} });
    expect((await call).status).toBe(200);
  });
  expect(rows.written).toBe(counts.call.rowsWritten);
  expect(rows.read).toBeLessThanOrEqual(counts.call.rowsRead);
  expect(connector.frames).toEqual([]); // and nothing more is said about it
});

it("the presence check of an idle machine writes no more rows than the budget allows", async () => {
  await TestConnector.greeted();
  await untilReported();
  const rows = await rowsOf(async () => {
    expect(await namesOfJobs()).toEqual(["checkPresence"]);
    // The runtime does this when the hour is over: the job runs and sets itself again, and the alarm is set again.
    await within(async (machine) => {
      await machine.checkPresence();
      await machine.alarm();
    });
    await untilReported();
  });
  expect(rows.written).toBeGreaterThan(0);
  expect(rows.written).toBeLessThanOrEqual(counts.idleCheck.rowsWritten);
  expect(rows.read).toBeLessThanOrEqual(counts.idleCheck.rowsRead);
  // Nothing else is due before the next hour: no other alarm, and so no other request.
  expect(await namesOfJobs()).toEqual(["checkPresence"]);
});
