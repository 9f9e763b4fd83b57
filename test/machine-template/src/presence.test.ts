import { abortAllDurableObjects, evictDurableObject, runDurableObjectAlarm } from "cloudflare:test";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { MAX_FACT_CHARACTERS, MAX_FACTS_CHARACTERS, PRESENCE_CHECK_MS } from "#protocol/limits.ts";
import { PresenceType } from "#protocol/event.ts";
import { encodeFrame, FrameKind } from "#protocol/frame.ts";
import { ask, env, FACTS, forget, jobs, page, state, TestConnector, within } from "./support/connector.ts";

afterEach(forget);

/** The types and epochs of the presence events in the log. */
async function told(): Promise<[string, number][]> {
  const { position } = await page();
  const { events } = await page({ epoch: position.epoch, seq: 0 });
  return events.flatMap(({ type, data }) =>
    type.startsWith("machine.") ? [[type, (data as { epoch: number }).epoch] as [string, number]] : [],
  );
}

describe("presence", () => {
  it("of a machine that never connected is offline, never seen, and without facts", async () => {
    expect(await state()).toMatchObject({
      online: false,
      epoch: 0,
      connectedAtMs: null,
      lastSeenMs: null,
      facts: null,
      sessions: [],
      exchanges: 0,
      template: "t1",
    });
  });

  it("begins with hello, not with the socket", async () => {
    const connector = await TestConnector.open();
    expect(await state()).toMatchObject({ online: false, epoch: 0 });
    connector.say({ type: "hello", protocol: 1, stream: "s", facts: FACTS });
    expect(await connector.word("welcome")).toMatchObject({ epoch: 1 });
    expect(await state()).toMatchObject({ online: true, epoch: 1, facts: FACTS });
  });

  it("rises by one epoch with each link, and the log has each start and end in order", async () => {
    const first = await TestConnector.greeted();
    await first.leave();
    expect(await state()).toMatchObject({ online: false, epoch: 1, connectedAtMs: null });
    const second = await TestConnector.greeted();
    const third = await TestConnector.greeted();
    await second.until(() => second.closed !== null);
    await third.leave();
    expect(await told()).toEqual([
      [PresenceType.ONLINE, 1],
      [PresenceType.OFFLINE, 1],
      [PresenceType.ONLINE, 2],
      [PresenceType.REPLACED, 3],
      [PresenceType.OFFLINE, 3],
    ]);
  });

  it("ignores late frames of a replaced link: its facts, events and end", async () => {
    const older = await TestConnector.greeted("older");
    const [socket] = await within((_, context) => context.getWebSockets("link"));
    const newer = await TestConnector.greeted("newer");
    const late = { type: "facts", facts: { ...FACTS, hostname: "older.lan" } };
    const event = { atMs: 1, type: "message", session: null, data: "late" };
    const before = await page();
    // The socket is closing; what was on its way still arrives at the script.
    await within((machine) => {
      if (socket === undefined) throw new Error("there was no link");
      machine.webSocketMessage(socket, JSON.stringify({ type: "hello", protocol: 1, stream: "older", facts: FACTS }));
      machine.webSocketMessage(socket, JSON.stringify(late));
      machine.webSocketMessage(socket, JSON.stringify({ type: "event", first: 1, events: [event] }));
      machine.webSocketClose(socket, 1000);
      machine.offline(1, 0);
    });
    older.socket.close(1000, "bye");
    await older.until(() => older.closed !== null);
    expect(await state()).toMatchObject({ online: true, epoch: 2, facts: FACTS });
    expect(await page()).toEqual(before);
    newer.say({ type: "facts", facts: { ...FACTS, hostname: "newer.lan" } });
    await newer.push(1, [{}]);
    expect(await state()).toMatchObject({ facts: { hostname: "newer.lan" } });
  });

  it("ends if the script wakes and its link has fallen silent, and the next dial is accepted", async () => {
    await TestConnector.greeted();
    await evictDurableObject(env.MACHINE.getByName("machine"));
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() + 10 * 60_000 });
    onTestFinished(() => void vi.useRealTimers());
    expect(await state()).toMatchObject({ online: false, epoch: 1 });
    await TestConnector.greeted();
    expect(await state()).toMatchObject({ online: true, epoch: 2 });
  });

  it("keeps its epoch and facts over an eviction, and the next link gets the next epoch", async () => {
    await TestConnector.greeted();
    await evictDurableObject(env.MACHINE.getByName("machine"));
    expect(await state()).toMatchObject({ online: true, epoch: 1, facts: FACTS });
    const next = await TestConnector.greeted();
    expect(await next.word("welcome")).toMatchObject({ epoch: 2 });
  });

  it("ends when the script is replaced, and this is noticed even if no socket reports it and nobody dials", async () => {
    const connector = await TestConnector.greeted();
    await abortAllDurableObjects();
    await connector.until(() => connector.closed !== null).catch(() => undefined);
    expect(await state()).toMatchObject({ online: false, epoch: 1 });
    await within((machine) => machine.checkPresence());
    await within((machine) => machine.checkPresence());
    expect(await told()).toEqual([
      [PresenceType.ONLINE, 1],
      [PresenceType.OFFLINE, 1],
    ]);
    expect(await state()).toMatchObject({ connectedAtMs: null });
  });

  it("tells when an offline machine was last seen", async () => {
    const connector = await TestConnector.greeted();
    const { lastSeenMs: whileOnline } = await state();
    await connector.leave();
    const { lastSeenMs } = await state();
    expect(lastSeenMs).toBeGreaterThanOrEqual(Number(whileOnline));
    const refused = await ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    expect(await refused.json()).toMatchObject({ error: { data: { code: "machine_offline", lastSeenMs } } });
  });

  it("counts the open exchanges", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    const { exchange } = await connector.request();
    expect(await state()).toMatchObject({ exchanges: 1 });
    connector.socket.send(encodeFrame({ kind: FrameKind.CANCEL, exchange, reason: "no" }));
    await asked;
    expect(await state()).toMatchObject({ exchanges: 0 });
  });

  it("is checked every hour while there is a link, and no longer", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const connector = await TestConnector.greeted();
    for (let firing = 1; firing <= 3; firing += 1) {
      // The message arrives at the same moment as the clock is moved: a report in between would find the link silent for an hour.
      await within((machine, context) => {
        const [socket] = context.getWebSockets("link");
        if (socket === undefined) throw new Error("there is no link");
        vi.setSystemTime(Date.now() + PRESENCE_CHECK_MS + 1_000);
        machine.webSocketMessage(socket, JSON.stringify({ type: "facts", facts: FACTS }));
      });
      await connector.push(firing, [{}]);
      expect(await runDurableObjectAlarm(env.MACHINE.getByName("machine"))).toBe(true);
      expect((await jobs()).checkPresence?.atMs).toBe(Date.now() + PRESENCE_CHECK_MS);
    }
    await connector.leave();
    vi.setSystemTime(Date.now() + PRESENCE_CHECK_MS + 1_000);
    await runDurableObjectAlarm(env.MACHINE.getByName("machine"));
    expect(await jobs()).not.toHaveProperty("checkPresence");
  });

  it("continues with higher epochs when its record is damaged", async () => {
    await (await TestConnector.greeted()).leave();
    const owes = async (): Promise<boolean> => (await jobs()).report !== undefined;
    while (await owes()); // its report's arrival is written to the record too
    await within((_, { storage }) => storage.kv.put("presence", { epoch: 7, facts: "damaged" }));
    await evictDurableObject(env.MACHINE.getByName("machine"));
    const connector = await TestConnector.open();
    connector.say({ type: "hello", protocol: 1, stream: "s", facts: FACTS });
    expect(await connector.word("welcome")).toMatchObject({ epoch: 8 });
    await connector.leave();
    while (await owes());
    await within((_, { storage }) => storage.kv.put("presence", "damaged"));
    await evictDurableObject(env.MACHINE.getByName("machine"));
    const next = await TestConnector.open();
    next.say({ type: "hello", protocol: 1, stream: "s", facts: FACTS });
    expect((await next.word("welcome")).epoch).toBeGreaterThan(8);
  });

  it("limits the size of the facts, however much the machine sends", async () => {
    const connector = await TestConnector.open();
    const long = "x".repeat(100_000);
    const repos = Array.from({ length: 200 }, () => ({ path: "/p".repeat(400), remote: "r".repeat(400) }));
    connector.say({ type: "hello", protocol: 1, stream: "s", facts: { ...FACTS, hostname: long, repos } });
    await connector.word("welcome");
    const { facts } = await state();
    expect(facts?.hostname).toHaveLength(MAX_FACT_CHARACTERS);
    expect(JSON.stringify(facts).length).toBeLessThanOrEqual(MAX_FACTS_CHARACTERS);
    expect(facts?.repos.length).toBeGreaterThan(0);
  });
});
