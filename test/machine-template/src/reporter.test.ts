import { afterEach, describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import type { Presence } from "#protocol/script-api.ts";
import type { Received } from "../../support/stand-in/control.ts";
import { ask, env, FACTS, forget, page, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

/** What was reported of this test's machine: the service is everybody's, the log's epoch is one machine's own. */
async function reportsFrom(from: number): Promise<Presence[]> {
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
async function reported(isSo: (presence: Presence) => boolean): Promise<Presence> {
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

  it("again when it did not take a report, on a schedule that outlives the script's memory", async () => {
    const { position } = await page();
    await env.CONTROL.fetch(`http://control/refuse?epoch=${position.epoch}`, { method: "POST" });
    await TestConnector.greeted();
    await reported(({ online }) => online);
    let scheduled: string[] = [];
    // The refusal is on its way back; then the machine writes down that it has to report again.
    while (!scheduled.includes("report"))
      scheduled = await within((machine) => machine.getSchedules().map(({ callback }) => callback));
    await within((machine) => machine.report());
    await reportsFrom(1);
  });
});
