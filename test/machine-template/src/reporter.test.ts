import { evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import { CloseCode } from "#protocol/close-code.ts";
import type { EventPush } from "#protocol/event.ts";
import { EVENT_PAGE_ROWS, MAX_EVENTS_PER_FRAME, PUSH_INTERVAL_MS } from "#protocol/limits.ts";
import type { MachineReport, ReportedPresence } from "#protocol/script-api.ts";
import type { Received } from "../../support/stand-in/control.ts";
import { ask, env, FACTS, forget, jobs, page, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

/** The reports about this test's machine. All tests share the service, and the log's epoch identifies the machine. */
async function reportsFrom(from: number): Promise<ReportedPresence[]> {
  return (await receivedFrom(from)).map(({ presence }) => presence);
}

async function receivedFrom(from: number): Promise<MachineReport[]> {
  const { position } = await page();
  const received: Received[] = await (
    await env.CONTROL.fetch(`http://control/reports?epoch=${position.epoch}&from=${from}`)
  ).json();
  for (const { key, report } of received) {
    expect(key).toBe("report-key");
    expect(report).toMatchObject({ owner: "owner", slug: "attic" });
  }
  return received.map(({ report }) => report);
}

/** Waits until so many events of this machine's log were pushed, and answers all pushes until then. */
async function pushesWith(count: number): Promise<EventPush[]> {
  const pushes: EventPush[] = [];
  for (let from = 0; pushes.flatMap(({ events }) => events).length < count;) {
    const reports = await receivedFrom(from);
    from += reports.length;
    pushes.push(...reports.flatMap(({ push }) => push ?? []));
  }
  return pushes;
}

/** Has the control API answer this machine's next report in that way. */
async function arrange(path: string, query: string): Promise<void> {
  const { position } = await page();
  await env.CONTROL.fetch(`http://control${path}?epoch=${position.epoch}&${query}`, { method: "POST" });
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

describe("the script reports to the control API", () => {
  it("a new link, with the machine's facts and the log's end", async () => {
    await TestConnector.greeted();
    const told = await reported(({ online }) => online);
    expect(told).toMatchObject({ epoch: 1, facts: FACTS, template: "t1" });
    expect(told.position).toEqual((await page()).position);
  });

  it("the end of a link", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    await connector.leave();
    const told = await reported(({ online, epoch }) => !online && epoch === 1);
    expect(told.connectedAtMs).toBeNull();
    expect(told.lastSeenMs).not.toBeNull();
  });

  it("the end of a link whose script hibernated, at once", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    await evictDurableObject(env.MACHINE.getByName("machine"));
    await connector.leave();
    const told = await reported(({ online, epoch }) => !online && epoch === 1);
    expect(told.connectedAtMs).toBeNull();
  });

  it("events, with the log's new end", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [{}, {}, {}]);
    const { seq } = (await page()).position;
    await reported(({ position }) => position.seq === seq);
  });

  it("many events with few reports", async () => {
    const connector = await TestConnector.greeted();
    for (let first = 1; first <= 200; first += 1)
      connector.say({ type: "event", first, events: [{ atMs: 1, type: "t", session: null }] });
    await connector.until(() => connector.words.some((word) => word.type === "event-ack" && word.seq === 200));
    const { seq } = (await page()).position;
    await reported(({ position }) => position.seq === seq);
    expect((await reportsFrom(0)).length).toBeLessThan(100);
  });

  it("facts that changed during a link", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    connector.say({ type: "facts", facts: { ...FACTS, codez: "0.2.0" } });
    await reported(({ facts }) => facts?.codez === "0.2.0");
  });

  it("facts that changed while earlier ones were on their way", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    await arrange("/hold", "");
    connector.say({ type: "facts", facts: { ...FACTS, codez: "0.2.0" } });
    await reported(({ facts }) => facts?.codez === "0.2.0");
    connector.say({ type: "facts", facts: { ...FACTS, codez: "0.3.0" } });
    await connector.push(1, [{}]); // what comes after the facts on this link was handled after them
    await arrange("/release", "");
    await reported(({ facts }) => facts?.codez === "0.3.0");
  });

  it("before it answers, when the owner closes the link", async () => {
    await TestConnector.greeted();
    await reported(({ online }) => online);
    const body = JSON.stringify({ code: CloseCode.REVOKED, reason: "rotated" });
    expect((await ask("/operator/close", { method: "POST", body })).status).toBe(204);
    expect((await reportsFrom(0)).some(({ online, epoch }) => !online && epoch === 1)).toBe(true);
  });

  it("facts once: later reports omit them, even on a new link with the same facts", async () => {
    const connector = await TestConnector.greeted();
    expect(await reported(({ online }) => online)).toHaveProperty("facts");
    await connector.push(1, [{}]);
    const { seq } = (await page()).position;
    expect(await reported(({ position }) => position.seq === seq)).not.toHaveProperty("facts");
    await connector.leave();
    await TestConnector.greeted();
    expect(await reported(({ epoch, online }) => epoch === 2 && online)).not.toHaveProperty("facts");
  });

  it("facts again if the control API lost them", async () => {
    const connector = await TestConnector.greeted();
    await reported(({ online }) => online);
    const { position } = await page();
    await env.CONTROL.fetch(`http://control/want?epoch=${position.epoch}`, { method: "POST" });
    await connector.push(1, [{}]);
    const { seq } = (await page()).position;
    await reported((told) => told.position.seq === seq && told.facts !== undefined);
  });

  it("an offline machine when somebody calls it, even if that was reported before this script's last start", async () => {
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

  async function areRefused(): Promise<boolean> {
    return within(
      (_, { storage }) => storage.kv.get<{ reportsRefused?: boolean }>("presence")?.reportsRefused === true,
    );
  }

  async function refuse(status: number): Promise<void> {
    const { position } = await page();
    await env.CONTROL.fetch(`http://control/refuse?epoch=${position.epoch}&status=${status}`, { method: "POST" });
  }

  it("even if it is stopped before it can: what it owes is stored first and removed afterwards", async () => {
    await arrange("/refuse", "status=503"); // however soon the first report is sent, it is still owed
    await TestConnector.greeted();
    expect(await jobs()).toHaveProperty("report");
    await reported(({ online }) => online);
    expect(await runDurableObjectAlarm(env.MACHINE.getByName("machine"))).toBe(true);
    while ((await jobs()).report !== undefined);
  });

  it("again after a failure: after 5 s, then twice as long each time, and at most every hour", async () => {
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

  it("nothing more after its reports were refused, until the next link", async () => {
    await refuse(403);
    const connector = await TestConnector.greeted();
    // Once the refusal is known. What happens before that is reported, too.
    while (!(await areRefused()));
    await connector.push(1, [{}]);
    await connector.leave();
    await evictDurableObject(env.MACHINE.getByName("machine"));
    await ask("/mcp", { method: "POST", body: "{}" }); // otherwise a reason to report
    expect(await reportsFrom(0)).toHaveLength(1);
    await TestConnector.greeted();
    await reported(({ epoch }) => epoch === 2);
  });
});

describe("the script pushes events to the owner's object", () => {
  const typed = (...types: string[]) => types.map((type) => ({ type }));
  const dataOf = (pushes: readonly EventPush[]): unknown[] =>
    pushes.flatMap(({ events }) => events).flatMap(({ type, data }) => (type === "message" ? [data] : []));

  it("once each, in order, from where the last push ended", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [{ data: "a" }]);
    await pushesWith(2);
    await connector.push(2, [{ data: "b" }, { data: "c" }]);
    const pushes = await pushesWith(4);
    expect(dataOf(pushes)).toEqual(["a", "b", "c"]);
    for (const [index, push] of pushes.entries()) expect(push.after).toBe(pushes[index - 1]?.position.seq ?? 0);
  });

  it("again, in the same order, when a report or its answer was lost", async () => {
    const connector = await TestConnector.greeted();
    await pushesWith(1);
    await arrange("/refuse", "status=503");
    await connector.push(1, [{ data: "a" }]);
    await pushesWith(2); // arrived, but the script does not know
    await connector.push(2, [{ data: "b" }]);
    const last = (await pushesWith(4)).at(-1);
    expect(dataOf(last === undefined ? [] : [last])).toEqual(["a", "b"]);
  });

  it("from further back if the object has fewer, as after a restored backup", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [{ data: "a" }]);
    await pushesWith(2);
    await arrange("/stored", "seq=1");
    await connector.push(2, [{ data: "b" }]);
    const pushes = await pushesWith(5);
    expect(pushes.at(-1)).toMatchObject({ after: 1 });
    expect(dataOf(pushes.slice(-1))).toEqual(["a", "b"]);
  });

  it("under new numbers if the object has more than this log, which was then restored from an older copy", async () => {
    const connector = await TestConnector.greeted();
    await pushesWith(1);
    await arrange("/stored", "seq=90");
    await connector.push(1, [{ data: "a" }]);
    const pushes = await pushesWith(3);
    expect(dataOf(pushes.slice(-1))).toEqual(["a"]);
    expect(pushes.at(-1)?.after).toBe(90);
    expect(pushes.at(-1)?.events[0]?.seq).toBeGreaterThan(90);
  });

  it("without the pieces of unfinished messages, which cause no report unless somebody watches", async () => {
    const connector = await TestConnector.greeted();
    await pushesWith(1);
    const before = (await receivedFrom(0)).length;
    await connector.push(1, typed("message.delta", "message.delta"));
    await connector.push(3, typed("message"));
    await pushesWith(2);
    const reports = await receivedFrom(before);
    expect(reports.map(({ push }) => push?.events.map(({ type }) => type))).toEqual([["message"]]);
    expect((await ask("/operator/live", { method: "POST", body: '{"forMs":60000}' })).status).toBe(204);
    await connector.push(4, typed("message.delta"));
    const pushes = await pushesWith(3);
    expect(pushes.at(-1)?.events.map(({ type }) => type)).toEqual(["message.delta"]);
  });

  it("at most once in a quarter of a second, however fast they come, and not at all without events", async () => {
    const connector = await TestConnector.greeted();
    const beganMs = Date.now();
    const frames = 40;
    for (let frame = 0; frame < frames; frame += 1) {
      await connector.push(
        1 + frame * 10,
        Array.from({ length: 10 }, (_, index) => ({ data: frame * 10 + index })),
      );
      await scheduler.wait(10);
    }
    const pushes = await pushesWith(1 + frames * 10);
    expect(dataOf(pushes)).toEqual(Array.from({ length: frames * 10 }, (_, index) => index));
    const reports = (await receivedFrom(0)).length;
    expect(reports).toBeLessThanOrEqual(3 + (Date.now() - beganMs) / PUSH_INTERVAL_MS);
    await scheduler.wait(3 * PUSH_INTERVAL_MS);
    expect((await receivedFrom(reports - 1)).length).toBe(1);
  });

  it("in several reports when there are too many for one", async () => {
    const connector = await TestConnector.greeted();
    await arrange("/refuse", "status=503");
    for (let first = 1; first <= 1_000; first += MAX_EVENTS_PER_FRAME)
      await connector.push(
        first,
        Array.from({ length: MAX_EVENTS_PER_FRAME }, (_, index) => ({ data: first + index })),
      );
    const distinct = async (): Promise<unknown[]> => [...new Set(dataOf(await pushesWith(1)))];
    while ((await distinct()).length < 1_000) await scheduler.wait(PUSH_INTERVAL_MS);
    expect(await distinct()).toEqual(Array.from({ length: 1_000 }, (_, index) => index + 1));
    for (const { events } of await pushesWith(1)) expect(events.length).toBeLessThanOrEqual(EVENT_PAGE_ROWS);
  });

  it("all of them before it answers, when the link is closed because the machine was renamed", async () => {
    const connector = await TestConnector.greeted();
    for (let first = 1; first <= 3 * EVENT_PAGE_ROWS; first += MAX_EVENTS_PER_FRAME)
      await connector.push(
        first,
        Array.from({ length: MAX_EVENTS_PER_FRAME }, () => ({})),
      );
    const body = JSON.stringify({ code: CloseCode.RENAMED, reason: "loft" });
    expect((await ask("/operator/close", { method: "POST", body })).status).toBe(204);
    const types = (await receivedFrom(0)).flatMap(({ push }) => push?.events ?? []).map(({ type }) => type);
    expect(types.at(-1)).toBe("machine.offline");
  });

  it("from the same position after a restart of the script", async () => {
    const connector = await TestConnector.greeted();
    await connector.push(1, [{ data: "a" }]);
    await pushesWith(2);
    await connector.push(2, [{ data: "b" }]);
    await pushesWith(3);
    await evictDurableObject(env.MACHINE.getByName("machine"));
    await connector.push(3, [{ data: "c" }]);
    const pushes = await pushesWith(5); // the last one before the restart may come again; the object drops it
    expect(dataOf(pushes).filter((data, index, all) => all.indexOf(data) === index)).toEqual(["a", "b", "c"]);
  });
});
