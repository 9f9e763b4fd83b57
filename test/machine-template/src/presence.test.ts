import { abortAllDurableObjects, evictDurableObject } from "cloudflare:test";
import { afterEach, describe, expect, it } from "vitest";
import { PresenceType } from "#protocol/event.ts";
import { encodeFrame, FrameKind } from "#protocol/frame.ts";
import { ask, env, FACTS, forget, page, state, TestConnector, within } from "./support/connector.ts";

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
  it("of a machine that never dialled in is offline, never seen, without facts", async () => {
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

  it("rises by one epoch with each link, and the log tells each coming and going in its order", async () => {
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

  it("does not go back for late words of a link that was replaced: its facts, events and end change nothing", async () => {
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

  it("keeps its epoch and its facts over an eviction, and the next link gets the next epoch", async () => {
    await TestConnector.greeted();
    await evictDurableObject(env.MACHINE.getByName("machine"));
    expect(await state()).toMatchObject({ online: true, epoch: 1, facts: FACTS });
    const next = await TestConnector.greeted();
    expect(await next.word("welcome")).toMatchObject({ epoch: 2 });
  });

  it("ends when the script is replaced, and is found out though no socket says so and nobody dials in", async () => {
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

  it("says of an offline machine when it was last seen", async () => {
    const connector = await TestConnector.greeted();
    const { lastSeenMs: whileOnline } = await state();
    await connector.leave();
    const { lastSeenMs } = await state();
    expect(lastSeenMs).toBeGreaterThanOrEqual(Number(whileOnline));
    const refused = await ask("/mcp", { method: "POST", body: '{"id":1,"method":"x"}' });
    expect(await refused.json()).toMatchObject({ error: { data: { code: "machine_offline", lastSeenMs } } });
  });

  it("counts the exchanges under way", async () => {
    const connector = await TestConnector.greeted();
    const asked = ask("/mcp", { method: "POST", body: "{}" });
    const { exchange } = await connector.request();
    expect(await state()).toMatchObject({ exchanges: 1 });
    connector.socket.send(encodeFrame({ kind: FrameKind.CANCEL, exchange, reason: "no" }));
    await asked;
    expect(await state()).toMatchObject({ exchanges: 0 });
  });
});
