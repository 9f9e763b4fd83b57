import { evictDurableObject, runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { env, type RpcAnswer, TestUser } from "../support/operator.ts";
import { isSigned, Receiver, SECRET } from "../support/receiver.ts";

type Subscribed = { id: string; refreshBefore: string; cursor: string; truncated: boolean; deliveryStatus?: object };

const failed = (session: string) => ({ type: "session.error", session, data: { message: session } });

async function person(...machines: string[]): Promise<TestUser> {
  const user = new TestUser();
  for (const name of machines) {
    await user.machine(name);
    await user.logs(name, []);
  }
  return user;
}

function paramsOf(receiver: Receiver, more: object = {}): Record<string, unknown> {
  return { name: "session.failed", delivery: { mode: "webhook", url: receiver.url, secret: SECRET }, ...more };
}

async function subscribe(user: TestUser, receiver: Receiver, more: object = {}): Promise<Subscribed> {
  const { answer } = await user.rpc("events/subscribe", paramsOf(receiver, more));
  if (answer.result === undefined) throw new Error(JSON.stringify(answer.error));
  return answer.result as unknown as Subscribed;
}

async function errorOf(user: TestUser, method: string, params: Record<string, unknown>): Promise<RpcAnswer["error"]> {
  return (await user.rpc(method, params)).answer.error;
}

/** A client of this person with a token of its own. */
async function clientOf(user: TestUser, label: string): Promise<{ client: TestUser; id: string }> {
  const made = await user.rest("POST", "/api/tokens", { label });
  const { token, id }: { token: string; id: string } = await made.json();
  return { client: new TestUser(user.id, token), id };
}

const objectOf = (user: TestUser) => env.WEBHOOKS.getByName(user.id);

/** Waits until so many failures of the one message are written down, with the time of its next attempt. Its receiver knows of each earlier. */
async function hasFailed(user: TestUser, failures: number): Promise<void> {
  const attempts = () =>
    runInDurableObject(objectOf(user), (_, { storage }) =>
      storage.sql.exec<{ attempts: number }>("SELECT attempts FROM delivery").toArray(),
    );
  await expect.poll(attempts).toEqual([{ attempts: failures }]);
}

/** Lets a message that has failed so often be due now, as if the time had passed. */
async function passTime(user: TestUser, failures: number): Promise<void> {
  await hasFailed(user, failures);
  await runInDurableObject(objectOf(user), (_, { storage }) => {
    storage.sql.exec("UPDATE delivery SET next_ms = 0 WHERE dead_ms IS NULL");
  });
  await runDurableObjectAlarm(objectOf(user));
}

describe("events/subscribe", () => {
  it("verifies the receiver with a signed challenge, then delivers signed events", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { id, refreshBefore, cursor, truncated } = await subscribe(alice, receiver);
    expect(id).toMatch(/^sub_[0-9a-f]{32}$/);
    expect(Date.parse(refreshBefore)).toBeGreaterThan(Date.now());
    expect([typeof cursor, truncated]).toEqual(["string", false]);
    await alice.logs("attic", [failed("s1"), { type: "message" }, failed("s2")]);
    const [challenge, ...messages] = await receiver.received(3);
    expect(challenge?.headers["webhook-id"]).toMatch(/^msg_verification_/);
    expect(messages.map(({ body }) => JSON.parse(body))).toEqual(
      ["s1", "s2"].map((session) => ({
        eventId: expect.stringMatching(/^evt_/),
        name: "session.failed",
        timestamp: expect.any(String),
        data: { machine: "attic", session: `attic/${session}`, message: session },
        cursor: expect.any(String),
      })),
    );
    for (const message of [challenge, ...messages]) {
      if (message === undefined) throw new Error("nothing came");
      expect(await isSigned(message, SECRET)).toBe(true);
      expect(message.headers).toMatchObject({ "content-type": "application/json", "x-mcp-subscription-id": id });
      expect(message.url).toBe(receiver.url);
    }
    for (const { headers, body } of messages) expect(headers["webhook-id"]).toBe(JSON.parse(body).eventId);
  });

  it("delivers with the cursor from which events/poll goes on", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    await alice.logs("attic", [failed("s1"), failed("s2")]);
    const [first] = await receiver.events(2);
    const polled = await alice.rpc("events/poll", { name: "session.failed", cursor: first?.["cursor"] });
    expect(polled.answer.result?.["events"]).toMatchObject([{ data: { session: "attic/s2" } }]);
  });

  it("treats the same client, URL, name and arguments as one subscription, and others as different ones", async () => {
    const [alice, receiver, other] = [await person("attic"), new Receiver(), new Receiver()];
    const first = await subscribe(alice, receiver);
    const again = await subscribe(alice, receiver, { arguments: {}, ttlMs: 600_000 });
    expect(again.id).toBe(first.id);
    expect(again.deliveryStatus).toMatchObject({ active: true, lastError: null });
    expect(await receiver.received(1)).toHaveLength(1); // one challenge for both
    const ofSession = await subscribe(alice, receiver, { arguments: { machineId: "attic", session: "attic/s1" } });
    const inAnotherOrder = { arguments: { session: "attic/s1", machineId: "attic" } };
    expect((await subscribe(alice, receiver, inAnotherOrder)).id).toBe(ofSession.id);
    const { client } = await clientOf(alice, "another client");
    const ids = [
      ofSession.id,
      first.id,
      (await subscribe(alice, other)).id,
      (await subscribe(alice, receiver, { name: "session.created" })).id,
      (await subscribe(alice, receiver, { arguments: { machineId: "attic" } })).id,
      (await subscribe(client, receiver)).id,
      (await subscribe(await person("attic"), receiver)).id,
    ];
    expect(new Set(ids).size).toBe(ids.length);
  });

  it("delivers only events that match the arguments", async () => {
    const [alice, receiver] = [await person("attic", "cellar"), new Receiver()];
    await subscribe(alice, receiver, { arguments: { session: "attic/s2" } });
    await alice.logs("cellar", [failed("s2")]);
    await alice.logs("attic", [failed("s1"), failed("s2")]);
    await receiver.events(1);
    await alice.logs("attic", [failed("s1"), failed("s2"), { ...failed("s2"), data: { message: "again" } }]);
    const messages = (await receiver.events(2)).map(({ data }) => data);
    expect(messages).toMatchObject([
      { session: "attic/s2", message: "s2" },
      { session: "attic/s2", message: "again" },
    ]);
  });

  it("replays from the client's cursor, each event once", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { answer } = await alice.rpc("events/poll", { name: "session.failed" });
    await alice.logs("attic", [failed("s1"), failed("s2")]);
    const subscribed = await subscribe(alice, receiver, { cursor: answer.result?.["cursor"] });
    expect(subscribed.truncated).toBe(false);
    await alice.logs("attic", [failed("s1"), failed("s2"), failed("s3")]);
    const sessions = (await receiver.events(3)).map(({ data }) => (data as { session: string }).session);
    expect(sessions).toEqual(["attic/s1", "attic/s2", "attic/s3"]);
  });

  it("replays nothing that the subscription is not about", async () => {
    const [alice, receiver] = [await person("attic", "cellar"), new Receiver()];
    const { answer } = await alice.rpc("events/poll", { name: "session.failed" });
    await alice.logs("cellar", [failed("s1")]);
    await alice.logs("attic", [{ type: "machine.offline" }, failed("s2")]);
    await subscribe(alice, receiver, { cursor: answer.result?.["cursor"], arguments: { machineId: "attic" } });
    await alice.logs("attic", [{ type: "machine.offline" }, failed("s2"), failed("s3")]);
    const sessions = (await receiver.events(2)).map(({ data }) => (data as { session: string }).session);
    expect(sessions).toEqual(["attic/s2", "attic/s3"]);
  });

  it("replays nothing older than its client wants, and says that something was left out", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { answer } = await alice.rpc("events/poll", { name: "session.failed" });
    const events = [
      { ...failed("old"), atMs: 1 },
      { ...failed("new"), atMs: Date.now() },
    ];
    await alice.logs("attic", events);
    const { truncated } = await subscribe(alice, receiver, { cursor: answer.result?.["cursor"], maxAgeMs: 3_600_000 });
    expect([truncated, await receiver.events(1)]).toMatchObject([true, [{ data: { session: "attic/new" } }]]);
  });

  it("is not tried out for its person: its messages are the client's", async () => {
    const alice = await person("attic");
    const { id } = await subscribe(alice, new Receiver());
    expect((await alice.rest("POST", `/api/webhooks/${id}/test`)).status).toBe(404);
  });

  it("grants a lifetime of at most a week and at least five minutes", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const lifeOf = async (ttlMs: number | null): Promise<number> =>
      Math.round((Date.parse((await subscribe(alice, receiver, { ttlMs })).refreshBefore) - Date.now()) / 60_000);
    expect(await lifeOf(null)).toBe(7 * 24 * 60);
    expect(await lifeOf(1)).toBe(5);
    expect(await lifeOf(3_600_000)).toBe(60);
  });

  it("signs with both secrets for some time after a client changed its secret", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    const secret = `whsec_${btoa("f".repeat(24))}`;
    await subscribe(alice, receiver, { delivery: { mode: "webhook", url: receiver.url, secret } });
    await alice.logs("attic", [failed("s1")]);
    const message = (await receiver.received(2))[1];
    if (message === undefined) throw new Error("nothing came");
    expect([await isSigned(message, SECRET), await isSigned(message, secret)]).toEqual([true, true]);
    expect(message.headers["webhook-signature"]?.split(" ")).toHaveLength(2);
  });

  it("stops with events/unsubscribe, which reports a subscription that does not exist", async () => {
    const [alice, receiver, other] = [await person("attic"), new Receiver(), new Receiver()];
    await subscribe(alice, receiver);
    await subscribe(alice, other);
    const params = { name: "session.failed", delivery: { url: receiver.url } };
    expect((await alice.rpc("events/unsubscribe", params)).answer.error).toBeUndefined();
    expect(await errorOf(alice, "events/unsubscribe", params)).toMatchObject({ code: -32_023, data: { kind: "subscription" } }); // prettier-ignore
    await alice.logs("attic", [failed("s1")]);
    await other.events(1);
    expect(await receiver.received(1)).toHaveLength(1);
  });
});

describe("a delivery", () => {
  it("is repeated after a failure, with the same id and a new signature", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    await receiver.plan({ status: 503 });
    await alice.logs("attic", [failed("s1")]);
    await receiver.received(2);
    await receiver.plan({});
    await passTime(alice, 1);
    const [, first, second] = await receiver.received(3);
    expect(second?.headers["webhook-id"]).toBe(first?.headers["webhook-id"]);
    expect(second === undefined ? false : await isSigned(second, SECRET)).toBe(true);
    await expect
      .poll(async () => (await subscribe(alice, receiver)).deliveryStatus)
      .toMatchObject({ active: true, lastError: null, lastDeliveryAt: expect.any(String) });
  });

  it("does not delay later ones while it waits for its next attempt, and the cursor stays before it", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { cursor } = await subscribe(alice, receiver);
    await receiver.plan({ status: 500 });
    await alice.logs("attic", [failed("s1")]);
    await receiver.received(2);
    await receiver.plan({});
    await alice.logs("attic", [failed("s1"), failed("s2")]);
    const [, second] = await receiver.events(2);
    expect(second).toMatchObject({ data: { session: "attic/s2" }, cursor });
  });

  it("survives a restart of the object", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    await receiver.plan({ status: 503 });
    await alice.logs("attic", [failed("s1")]);
    await receiver.received(2);
    await hasFailed(alice, 1);
    await runInDurableObject(objectOf(alice), (_, { storage }) => {
      storage.sql.exec("UPDATE delivery SET next_ms = next_ms + 3600000");
    });
    await evictDurableObject(objectOf(alice));
    await receiver.plan({});
    await passTime(alice, 1);
    expect(await receiver.events(2)).toMatchObject([{ data: { session: "attic/s1" } }, { data: { session: "attic/s1" } }]); // prettier-ignore
    await alice.logs("attic", [failed("s1"), failed("s2")]);
    expect((await receiver.events(3)).at(-1)).toMatchObject({ data: { session: "attic/s2" } });
  });

  it("is given up after five attempts, which its person sees and can retry", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { id } = await subscribe(alice, receiver);
    await receiver.plan({ status: 500 });
    await alice.logs("attic", [failed("s1")]);
    for (let attempt = 1; attempt < 5; attempt += 1) {
      await receiver.received(1 + attempt);
      await passTime(alice, attempt);
    }
    await receiver.received(6);
    await passTime(alice, 5);
    expect(await receiver.received(6)).toHaveLength(6);
    const overview = await objectOf(alice).overview();
    expect(overview.dead).toMatchObject([{ subscription: id, attempts: 5, fault: "http_5xx" }]);
    await receiver.plan({});
    expect(await objectOf(alice).retry(id)).toBe(1);
    await receiver.received(7);
  });

  it("is not repeated after a 410, and is given up at once after a 413", async () => {
    for (const [status, dead] of [
      [410, 0],
      [413, 1],
    ] as const) {
      // prettier-ignore
      const [alice, receiver] = [await person("attic"), new Receiver()];
      await subscribe(alice, receiver);
      await receiver.plan({ status });
      await alice.logs("attic", [failed("s1")]);
      await receiver.received(2);
      await expect.poll(async () => (await objectOf(alice).overview()).subscriptions).toMatchObject([{ pending: 0 }]);
      await runDurableObjectAlarm(objectOf(alice));
      expect(await receiver.received(2)).toHaveLength(2);
      expect((await objectOf(alice).overview()).dead).toHaveLength(dead);
    }
  });

  it("does not follow a redirect", async () => {
    const [alice, receiver, victim] = [await person("attic"), new Receiver(), new Receiver()];
    await subscribe(alice, receiver);
    await receiver.plan({ status: 307, headers: { location: victim.url } });
    await alice.logs("attic", [failed("s1")]);
    await receiver.received(2);
    await passTime(alice, 1);
    expect(await victim.received(0)).toEqual([]);
    expect((await objectOf(alice).overview()).subscriptions).toMatchObject([{ lastFault: "http_4xx" }]);
  });
});

describe("a subscription", () => {
  it("ends with the token that created it: its receiver is told, and gets nothing more", async () => {
    const [alice, receiver, other] = [await person("attic"), new Receiver(), new Receiver()];
    const { client, id } = await clientOf(alice, "client");
    await subscribe(client, receiver);
    await subscribe(alice, other);
    await alice.rest("DELETE", `/api/tokens/${id}`);
    expect(await receiver.events(1)).toEqual([
      { type: "terminated", error: { code: -32_024, message: "Access was revoked.", data: { reason: "Access was revoked." } } }, // prettier-ignore
    ]);
    await alice.logs("attic", [failed("s1")]);
    await other.events(1);
    expect(await receiver.received(2)).toHaveLength(2);
    await expect.poll(async () => (await objectOf(alice).overview()).subscriptions).toHaveLength(1);
  });

  it("gets nothing that waited for its receiver when its token was revoked", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { client, id } = await clientOf(alice, "client");
    await subscribe(client, receiver);
    await receiver.plan({ status: 503 });
    await alice.logs("attic", [failed("s1")]);
    await hasFailed(alice, 1);
    await receiver.plan({});
    // Its time has come, before that of the message which says that the subscription has ended.
    await runInDurableObject(
      objectOf(alice),
      (_, { storage }) => void storage.sql.exec("UPDATE delivery SET next_ms = 0"),
    );
    await alice.rest("DELETE", `/api/tokens/${id}`);
    await expect.poll(async () => (await objectOf(alice).overview()).subscriptions).toEqual([]);
    const kinds = (await receiver.events(2)).map(({ type, name }) => type ?? name);
    expect(kinds).toEqual(["session.failed", "terminated"]);
    expect(await runInDurableObject(objectOf(alice), (_, { storage }) => storage.sql.exec("SELECT id FROM delivery").toArray())).toEqual([]); // prettier-ignore
  });

  it("gives a token limited to one machine only that machine's events", async () => {
    const [alice, receiver] = [await person("attic", "cellar"), new Receiver()];
    const made = await alice.rest("POST", "/api/tokens", { label: "one", machines: ["attic"] });
    const { token }: { token: string } = await made.json();
    await subscribe(new TestUser(alice.id, token), receiver);
    await alice.logs("cellar", [failed("s1")]);
    await alice.logs("attic", [failed("s2")]);
    await receiver.events(1);
    await alice.logs("attic", [failed("s2"), failed("s3")]); // its message comes after all that were queued before
    const sessions = (await receiver.events(2)).map(({ data }) => (data as { session: string }).session);
    expect(sessions).toEqual(["attic/s2", "attic/s3"]);
  });

  it("expires unless its client refreshes it", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    await runInDurableObject(objectOf(alice), (_, { storage }) => {
      storage.sql.exec("UPDATE subscription SET expires_ms = 1");
    });
    await runDurableObjectAlarm(objectOf(alice));
    expect((await objectOf(alice).overview()).subscriptions).toEqual([]);
    await alice.logs("attic", [failed("s1")]);
    await subscribe(alice, receiver); // the log is read on before this answers
    expect(await receiver.received(1)).toHaveLength(1);
  });

  it("has an encrypted secret in the database", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    const stored = await runInDurableObject(
      objectOf(alice),
      (_, { storage }) =>
      JSON.stringify(["subscription", "delivery", "verified_url"].map((table) => storage.sql.exec(`SELECT * FROM ${table}`).toArray())), // prettier-ignore
    );
    expect(stored).toContain(receiver.url);
    expect(stored).not.toContain(SECRET.slice("whsec_".length, -1));
    expect(stored).not.toContain("0123456789abcdef0123456789abcdef");
  });

  it("is deleted with its person", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver);
    await objectOf(alice).removeAll();
    expect(await objectOf(alice).overview()).toEqual({ subscriptions: [], dead: [] });
  });
});
