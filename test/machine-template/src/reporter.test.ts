import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import type { ReportedPresence } from "#protocol/script-api.ts";
import type { Received } from "../../support/stand-in/control.ts";
import { ask, env, FACTS, forget, jobs, page, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

/** What was reported of this test's machine: the service is everybody's, the log's epoch is one machine's own. */
async function reportsFrom(from: number): Promise<ReportedPresence[]> {
  const { position } = await page();
  const received: Received[] = await (
    await env.CONTROL.fetch(`http://control/reports?epoch=${position.epoch}&from=${from}`)
  ).json();
  for (const { key, report } of received) {
    expect(key).toBe("report-key");
    expect(report).toMatchObject({ owner: "owner", slug: "attic" });
  }
  return received.map(({ report }) => report.presence);
}

/** Waits until something that is so was reported. */
async function reported(isSo: (presence: ReportedPresence) => boolean): Promise<ReportedPresence> {
  for (let from = 0; ;) {
    const presences = await reportsFrom(from);
    const found = presences.find(isSo);
    if (found !== undefined) return found;
    from += presences.length;
  }
}

describe("the control API is told", () => {
  it("of a link that begins, with the machine's facts and where its log ends", async () => {
    await TestConnector.greeted();
    const told = await reported(({ online }) => online);
    expect(told).toMatchObject({ epoch: 1, facts: FACTS, template: "t1" });
    expect(told.position).toEqual((await page()).position);
  });

  it("of a link that ends", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    await connector.leave();
    const told = await reported(({ online, epoch }) => !online && epoch === 1);
    expect(told.connectedAtMs).toBeNull();
    expect(told.lastSeenMs).not.toBeNull();
  });

  it("of events, by where the log ends now", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [{}, {}, {}]);
    const { seq } = (await page()).position;
    await reported(({ position }) => position.seq === seq);
  });

  it("of many events with few reports", async () => {
    const connector = await TestConnector.greeted();
    for (let first = 1; first <= 200; first += 1)
      connector.say({ type: "event", first, events: [{ atMs: 1, type: "t", session: null }] });
    await connector.until(() => connector.words.some((word) => word.type === "event-ack" && word.seq === 200));
    const { seq } = (await page()).position;
    await reported(({ position }) => position.seq === seq);
    expect((await reportsFrom(0)).length).toBeLessThan(100);
  });

  it("of facts that changed during a link", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    connector.say({ type: "facts", facts: { ...FACTS, codez: "0.2.0" } });
    await reported(({ facts }) => facts?.codez === "0.2.0");
  });

  it("before the answer, when the owner closes the link", async () => {
    await TestConnector.greeted();
    await reported(({ online }) => online);
    const body = JSON.stringify({ code: CloseCode.REVOKED, reason: "rotated" });
    expect((await ask("/operator/close", { method: "POST", body })).status).toBe(204);
    expect((await reportsFrom(0)).some(({ online, epoch }) => !online && epoch === 1)).toBe(true);
  });

  it("of facts once: other reports leave them out, a new link with the same facts too", async () => {
    const connector = await TestConnector.greeted();
    expect(await reported(({ online }) => online)).toHaveProperty("facts");
    await connector.push(1, [{}]);
    const { seq } = (await page()).position;
    expect(await reported(({ position }) => position.seq === seq)).not.toHaveProperty("facts");
    await connector.leave();
    await TestConnector.greeted();
    expect(await reported(({ epoch, online }) => epoch === 2 && online)).not.toHaveProperty("facts");
  });

  it("of facts again when it has lost them", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    const { position } = await page();
    await env.CONTROL.fetch(`http://control/want?epoch=${position.epoch}`, { method: "POST" });
    await connector.push(1, [{}]);
    const { seq } = (await page()).position;
    await reported((told) => told.position.seq === seq && told.facts !== undefined);
  });

  it("of a machine that is offline when somebody calls it, even if it was told before this script's last start", async () => {
    const connector = await TestConnector.greeted();
    await connector.leave();
    await reported(({ online }) => !online);
    await evictDurableObject(env.MACHINE.getByName("machine"));
    const before = (await reportsFrom(0)).length;
    await ask("/mcp", { method: "POST", body: "{}" });
    expect((await reportsFrom(before))[0]).toMatchObject({ online: false });
  });

  async function dueInS(): Promise<number> {
    return ((await jobs()).report?.atMs ?? 0) / 1000 - Date.now() / 1000;
  }

  async function refuse(status: number): Promise<void> {
    const { position } = await page();
    await env.CONTROL.fetch(`http://control/refuse?epoch=${position.epoch}&status=${status}`, { method: "POST" });
  }

  it("even when the script is stopped before it can say so: what it owes is written down first, and crossed out after", async () => {
    await TestConnector.greeted();
    expect(await jobs()).toHaveProperty("report");
    await reported(({ online }) => online);
    while ((await jobs()).report !== undefined);
  });

  it("again when it did not take a report: after 5 s, then twice as long each time, at last once an hour", async () => {
    await refuse(503);
    await TestConnector.greeted();
    await reported(({ online }) => online);
    while ((await jobs()).report?.failures !== 1);
    expect(await dueInS()).toBeLessThanOrEqual(5);
    for (const [before, inS] of [
      [3, 40],
      [50, 3_600],
    ] as const) {
      await refuse(503);
      await within(async (_, { storage }) => {
        storage.kv.put("jobs", { report: { atMs: Date.now(), failures: before } });
        await storage.setAlarm(Date.now() + 60_000);
      });
      await evictDurableObject(env.MACHINE.getByName("machine"));
      await runDurableObjectAlarm(env.MACHINE.getByName("machine"));
      while ((await jobs()).report?.failures !== before + 1);
      expect(Math.round(await dueInS())).toBeGreaterThan(inS - 3);
      expect(Math.round(await dueInS())).toBeLessThanOrEqual(inS);
    }
  });

  it("no more when it refuses this script's reports, until the next link", async () => {
    await refuse(403);
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    await connector.push(1, [{}]);
    await connector.leave();
    await evictDurableObject(env.MACHINE.getByName("machine"));
    await ask("/mcp", { method: "POST", body: "{}" }); // otherwise a reason to report
    expect(await reportsFrom(0)).toHaveLength(1);
    await TestConnector.greeted();
    await reported(({ epoch }) => epoch === 2);
  });
});
