import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { MAX_PENDING, MAX_SUBSCRIPTIONS, MAX_SUBSCRIPTIONS_PER_CLIENT, MAX_WEBHOOKS, TRIES } from "../../../control-api/src/webhooks/limits.ts"; // prettier-ignore
import { seal, unseal } from "../../../control-api/src/webhooks/seal.ts";
import { keyOfSecret } from "../../../control-api/src/webhooks/sign.ts";
import type { SubscribeRequest } from "../../../control-api/src/mcp-events/subscribe-request.ts";
import { User } from "../../../control-api/src/user/user.ts";
import { somebody } from "../../control-api/pages/support/person.ts";
import { Client } from "../../control-api/sign-in/support/visitor.ts";
import { env, type RpcAnswer, TestUser } from "../../control-api/support/operator.ts";
import { isSigned, Receiver, SECRET } from "../../control-api/support/receiver.ts";
import { whileReading } from "../../control-api/support/while-reading.ts";

const failed = (session: string) => ({ type: "session.error", session, data: { message: session } });

async function person(...machines: string[]): Promise<TestUser> {
  const user = new TestUser();
  for (const name of machines) {
    await user.machine(name);
    await user.logs(name, []);
  }
  return user;
}

async function subscribe(user: TestUser, url: string, more: object = {}): Promise<RpcAnswer> {
  const params = { name: "session.failed", delivery: { mode: "webhook", url, secret: SECRET }, ...more };
  return (await user.rpc("events/subscribe", params)).answer;
}

async function clientOf(user: TestUser, label: string, limits: object = {}): Promise<TestUser> {
  const made = await user.rest("POST", "/api/tokens", { label, ...limits });
  const { token }: { token: string } = await made.json();
  return new TestUser(user.id, token);
}

const objectOf = (user: TestUser) => env.WEBHOOKS.getByName(user.id);

describe("a receiver that", () => {
  it.each([
    ["echoes something else", { echo: JSON.stringify({ challenge: "something else" }) }],
    ["echoes nothing", { echo: "" }],
    ["echoes a challenge that is no text", { echo: JSON.stringify({ challenge: 1 }) }],
    ["echoes no JSON", { echo: "<html>challenge</html>" }],
    ["answers 4 MB", { echo: `{"challenge":"${"x".repeat(4 * 1024 * 1024)}"}` }],
    ["answers very deep JSON", { echo: "[".repeat(100_000) }],
  ])("%s is not subscribed, and the client is not told more than that", async (_, plan) => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await receiver.plan(plan);
    const { error } = await subscribe(alice, receiver.url);
    expect(error).toEqual({
      code: -32_027,
      message: "The callback endpoint could not be verified: challenge_failed.",
      data: { reason: "challenge_failed" },
    });
    await alice.logs("attic", [failed("s1")]);
    expect((await objectOf(alice).overview()).subscriptions).toEqual([]);
    expect(await receiver.received(1)).toHaveLength(1);
  });

  it("replays an earlier subscription's challenge is not subscribed", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const seen = new Set<string>();
    for (let times = 0; times < 20; times += 1) {
      // Every answer is the challenge that came the time before.
      const [last] = (await receiver.received(0)).slice(-1);
      if (last !== undefined)
        await receiver.plan({ echo: JSON.stringify({ challenge: JSON.parse(last.body).challenge }) }); // prettier-ignore
      else await receiver.plan({ echo: "{}" });
      expect((await subscribe(alice, receiver.url)).error?.code).toBe(-32_027);
      const [asked] = (await receiver.received(times + 1)).slice(-1);
      seen.add(JSON.parse(asked?.body ?? "{}").challenge);
    }
    expect(seen.size).toBe(20);
  });

  it("never answers a challenge fails with a timeout and occupies no place", async () => {
    const [alice, hanging, other] = [await person("attic"), new Receiver(), new Receiver()];
    await hanging.plan({ hangs: "always" });
    const waiting = subscribe(alice, hanging.url);
    await hanging.received(1);
    expect((await subscribe(alice, other.url)).error).toBeUndefined(); // meanwhile
    expect((await waiting).error?.data).toEqual({ reason: "timeout" });
  });

  it("hangs does not delay other receivers, however many hang", async () => {
    const alice = await person("attic");
    const hanging = Array.from({ length: 8 }, () => new Receiver());
    for (const one of hanging) {
      expect((await subscribe(alice, one.url)).error).toBeUndefined();
      await one.plan({ hangs: "events" });
    }
    // They have failed before: from then on they share two connections.
    await runInDurableObject(objectOf(alice), (_, { storage }) => {
      storage.sql.exec("UPDATE subscription SET failed_since_ms = 1");
    });
    const fine = new Receiver();
    expect((await subscribe(alice, fine.url)).error).toBeUndefined();
    await alice.logs("attic", [failed("s1")]);
    expect(await fine.events(1)).toMatchObject([{ data: { session: "attic/s1" } }]);
    // The hanging receivers have not timed out yet, so the message did not wait for them.
    const attempts = await runInDurableObject(objectOf(alice), (_, { storage }) =>
      storage.sql.exec("SELECT sum(attempts) AS count FROM delivery").one(),
    );
    expect(attempts).toEqual({ count: 0 });
  });

  it("keeps failing gets at most one queue of messages, and is then told of the gap", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver.url);
    await receiver.plan({ status: 503 });
    await alice.logs(
      "attic",
      Array.from({ length: MAX_PENDING + 100 }, (__, index) => failed(`s${index}`)),
    );
    await receiver.received(2);
    const subscriptions = async () => (await objectOf(alice).overview()).subscriptions;
    await expect.poll(subscriptions).toMatchObject([{ pending: MAX_PENDING, hasGap: true, lastFault: "http_5xx" }]);
    await receiver.plan({});
    await runInDurableObject(objectOf(alice), (__, { storage }) => {
      storage.sql.exec("UPDATE delivery SET next_ms = 0");
    });
    await runDurableObjectAlarm(objectOf(alice));
    const events = await receiver.events(MAX_PENDING + 2);
    expect(events.filter(({ type }) => type === "gap")).toEqual([{ type: "gap", cursor: expect.any(String) }]);
    expect(new Set(events.flatMap(({ eventId }) => eventId ?? [])).size).toBe(MAX_PENDING);
    // A receiver that keeps failing does not get a request for each message.
    expect(events.length).toBeLessThan(MAX_PENDING + 10);
    await expect.poll(subscriptions).toMatchObject([{ pending: 0, hasGap: false }]);
  });
});

describe("large and numerous requests:", () => {
  it("payloads are cut to the size limit of a delivery", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver.url);
    await alice.logs("attic", [{ ...failed("s1"), data: { message: "é".repeat(70_000) } }]);
    const message = (await receiver.received(2))[1];
    expect(new TextEncoder().encode(message?.body).length).toBeLessThan(256 * 1024);
    expect(JSON.parse(message?.body ?? "{}")).toMatchObject({ data: { machine: "attic", session: "attic/s1", truncated: true } }); // prettier-ignore
  });

  it("subscriptions are limited for each client, for each person, and for webhooks", { timeout: 120_000 }, async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const clients = [await clientOf(alice, "one"), await clientOf(alice, "two"), await clientOf(alice, "three")];
    const made: number[] = [];
    for (const client of clients) {
      let count = 0;
      let error: RpcAnswer["error"];
      // 10,000 would be the same again and again: nothing is stored for a refused one.
      for (let index = 0; index < 70 && error === undefined; index += 1) {
        ({ error } = await subscribe(client, receiver.url, { arguments: { session: `attic/s${index}` } }));
        if (error === undefined) count += 1;
      }
      expect(error?.code).toBe(-32_025);
      made.push(count);
    }
    expect(made).toEqual([MAX_SUBSCRIPTIONS_PER_CLIENT, MAX_SUBSCRIPTIONS_PER_CLIENT, 0]);
    expect((await objectOf(alice).overview()).subscriptions).toHaveLength(MAX_SUBSCRIPTIONS);
    // One challenge for each client that got a place, and none for each subscription.
    expect(await receiver.received(0)).toHaveLength(2);
    for (let index = 0; index < MAX_WEBHOOKS; index += 1)
      expect((await alice.rest("POST", "/api/webhooks", { url: receiver.url })).status).toBe(201);
    expect((await alice.rest("POST", "/api/webhooks", { url: receiver.url })).status).toBe(400);
  });

  it("challenges to one host are limited in number", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await receiver.plan({ echo: "{}" });
    const codes: (number | undefined)[] = [];
    for (let index = 0; index < 35; index += 1) codes.push((await subscribe(alice, `${receiver.url}&n=${index}`)).error?.code); // prettier-ignore
    expect(codes.filter((code) => code === -32_027)).toHaveLength(30);
    expect(codes.filter((code) => code === -32_025)).toHaveLength(5);
    expect(await receiver.received(30)).toHaveLength(30);
  });
});

describe("another client or another person", () => {
  it("cannot end or refresh a subscription or change its secret, even if it knows all its parameters", async () => {
    const [alice, bob, receiver] = [await person("attic"), await person("attic"), new Receiver()];
    await subscribe(alice, receiver.url);
    const strangers = [bob, await clientOf(alice, "another"), await clientOf(bob, "bob's")];
    for (const stranger of strangers) {
      const params = { name: "session.failed", delivery: { url: receiver.url } };
      expect((await stranger.rpc("events/unsubscribe", params)).answer.error?.code).toBe(-32_023);
      // Their own subscription to the same URL is challenged again, with their own secret.
      await receiver.plan({ echo: "{}" });
      const secret = `whsec_${btoa("z".repeat(32))}`;
      expect((await subscribe(stranger, receiver.url, { delivery: { url: receiver.url, secret } })).error?.code).toBe(-32_027); // prettier-ignore
    }
    await receiver.plan({});
    await bob.logs("attic", [failed("of-bob")]);
    await alice.logs("attic", [failed("of-alice")]);
    const messages = (await receiver.received(5)).slice(4);
    expect(messages.map(({ body }) => JSON.parse(body).data.session)).toEqual(["attic/of-alice"]);
    expect(messages[0] === undefined ? false : await isSigned(messages[0], SECRET)).toBe(true);
  });

  it("does not learn of a machine that it must not see", async () => {
    const [alice, receiver] = [await person("attic", "cellar"), new Receiver()];
    const limited = await clientOf(alice, "one", { machines: ["attic"] });
    for (const machineId of ["cellar", "barn"])
      expect((await subscribe(limited, receiver.url, { arguments: { machineId } })).error).toMatchObject({
        code: -32_024,
        message: expect.stringContaining(`There is no machine "${machineId}"`),
      });
    expect(await receiver.received(0)).toEqual([]);
  });

  it("does not hear of a computer that gets its machine's name while its receiver is asked", async () => {
    const [alice, receiver, other] = [await person("attic"), new Receiver(), new Receiver()];
    const limited = await clientOf(alice, "one", { machines: ["attic"] });
    await receiver.plan({ hangs: "challenges" });
    const subscribing = subscribe(limited, receiver.url);
    await receiver.received(1);
    await alice.register("attic", { identity: "identity-of-another", replace: true });
    await receiver.plan({});
    expect((await subscribing).error).toBeUndefined();
    await subscribe(alice, other.url);
    const visible = async () => (await objectOf(alice).overview()).subscriptions.map((one) => one.visible);
    expect(await visible()).toEqual([[], null]);
    await alice.logs("attic", [failed("of-the-other-computer")]);
    await other.events(1);
    expect(await receiver.received(1)).toHaveLength(1);
  });

  it("cannot subscribe without a token", async () => {
    const nobody = await new TestUser("nobody", `opr_nobody_${"x".repeat(43)}`).fetch("/mcp", {
      method: "POST",
      headers: { "content-type": "application/json", accept: "application/json, text/event-stream" },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "events/subscribe", params: {} }),
    });
    expect(nobody.status).toBe(401);
  });
});

// Root cause: a webhook, and the machines muted in a browser, were limited to a machine's name, which may pass to another computer.
describe("a client whose access ends", () => {
  async function tokenOf(user: TestUser): Promise<{ id: string; request: SubscribeRequest }> {
    const { id }: { id: string } = await (await user.rest("POST", "/api/tokens", { label: "app" })).json();
    const filter = { machine: null, session: null };
    const request = { user: user.id, client: "an app", credential: `token:${id}`, filter, isTracked: true, name: "session.failed", arguments: "{}", url: new Receiver().url, secret: SECRET, cursor: null, maxAgeMs: null } as const; // prettier-ignore
    return { id, request };
  }

  it("while the log is read for its first subscription, of which nobody is told yet, has none", async () => {
    const alice = await person("attic");
    const { id, request } = await tokenOf(alice);
    const [answer] = await whileReading(
      alice.id,
      async () => objectOf(alice).subscribe(request),
      () => alice.rest("DELETE", `/api/tokens/${id}`),
    );
    expect(answer).toMatchObject({ error: { code: "forbidden" } });
    expect((await objectOf(alice).overview()).subscriptions).toEqual([]);
  });

  it("because its token has expired, is told that, and nothing that happens after", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    const { id, request } = await tokenOf(alice);
    expect(await objectOf(alice).subscribe({ ...request, url: receiver.url })).toHaveProperty("result");
    await receiver.plan({ status: 503 }); // what it is told stays in the queue
    await runInDurableObject(env.USER.getByName(alice.id), (_, { storage }) => void storage.sql.exec("UPDATE access_token SET expires_ms = 1 WHERE id = ?", id)); // prettier-ignore
    await objectOf(alice).wake(true);
    await alice.logs("attic", [failed("s1")]);
    await objectOf(alice).wake(false);
    const queue = await runInDurableObject(objectOf(alice), (_, { storage }) =>
      storage.sql.exec<{ content: string }>("SELECT content FROM delivery").toArray(),
    );
    expect(queue.map(({ content }) => JSON.parse(content))).toMatchObject([{ type: "terminated" }]);
  });

  it("is told nothing of a subscription that it removes just then", async () => {
    const alice = await person("attic");
    const { request } = await tokenOf(alice);
    const object = objectOf(alice);
    const subscribed = await object.subscribe(request);
    if ("error" in subscribed) throw new Error(subscribed.error.code);
    const look = { isHeld: false, mayGo: false };
    const looks = vi.spyOn(User.prototype, "tokenSight").mockImplementation((async () => {
      look.isHeld = true;
      while (!look.mayGo) await scheduler.wait(1);
      return null;
    }) as never);
    onTestFinished(() => looks.mockRestore());
    const ended = object.wake(true);
    await expect.poll(() => look.isHeld).toBe(true);
    await object.remove(subscribed.result.id);
    look.mayGo = true;
    await ended;
    const left = await runInDurableObject(object, (_, { storage }) =>
      storage.sql.exec("SELECT * FROM delivery").toArray(),
    );
    expect(left).toEqual([]);
  });
});

describe("what is limited to a machine", () => {
  const ANOTHER = { identity: "identity-of-another" };

  /** Gives a name to another computer, or back to the one that had it. */
  const pass = (user: TestUser, identity: string) => user.register("attic", { identity, replace: true });

  const overviewOf = async (user: TestUser) => (await objectOf(user).overview()).subscriptions;

  /** A webhook of the person's own, and one for everything, which shows when the log has been read. */
  async function hooked(user: TestUser, filter: object): Promise<{ limited: Receiver; all: Receiver; id: string }> {
    const [limited, all] = [new Receiver(), new Receiver()];
    const types = ["session.failed"];
    const added = await user.rest("POST", "/api/webhooks", { url: limited.url, types, ...filter });
    expect((await user.rest("POST", "/api/webhooks", { url: all.url, types })).status).toBe(201);
    return { limited, all, id: (await added.json<{ id: string }>()).id };
  }

  const sessionsOf = (messages: Record<string, unknown>[]) =>
    messages.map(({ data }) => (data as { session: string }).session);

  it.each([{ machineId: "attic" }, { session: "attic/s1" }])(
    "tells nothing of another computer that gets its name, says so, and goes on when the first has it back: %j",
    async (filter) => {
      const alice = await person("attic");
      const { limited, all, id } = await hooked(alice, filter);
      const told = [failed("s1")];
      await alice.logs("attic", told);
      await limited.events(1, 0);
      await pass(alice, ANOTHER.identity);
      await alice.logs("attic", [...told, failed("s1")]);
      expect(await all.events(2, 0)).toHaveLength(2);
      expect(await overviewOf(alice)).toMatchObject([
        { id, isPaused: true, filter: { machine: "attic" } },
        { isPaused: false },
      ]);
      expect(await (await alice.rest("GET", "/api/webhooks")).text()).not.toContain("identity-of");
      await pass(alice, "identity-of-attic");
      await alice.logs("attic", [...told, failed("s1"), failed("s1")]);
      const heard = await limited.events(2, 0);
      expect([await all.events(3, 0), heard]).toMatchObject([{ length: 3 }, { length: 2 }]);
      expect(await overviewOf(alice)).toMatchObject([{ isPaused: false }, { isPaused: false }]);
    },
  );

  it("tells nothing of the machine that gets its name after its removal, unless it is the same computer", async () => {
    const alice = await person("attic");
    const { limited, all } = await hooked(alice, { machineId: "attic" });
    for (const [identity, epoch] of [
      ["identity-of-another", "e2"],
      ["identity-of-attic", "e3"],
    ] as const) {
      await alice.rest("DELETE", "/api/machines/attic");
      expect(await overviewOf(alice)).toMatchObject([{ isPaused: true }, { isPaused: false }]);
      await alice.register("attic", { identity });
      await alice.logs("attic", [failed(identity)], { epoch });
    }
    expect(sessionsOf(await all.events(2, 0))).toEqual(["attic/identity-of-another", "attic/identity-of-attic"]);
    expect(sessionsOf(await limited.events(1, 0))).toEqual(["attic/identity-of-attic"]);
  });

  it("follows a computer that is renamed, and not the next one of its former name", async () => {
    const alice = await person("attic");
    const { limited, all } = await hooked(alice, { session: "attic/s1" });
    await alice.script("loft"); // to which the log moves
    expect((await alice.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
    await alice.logs("loft", [failed("s1")]);
    await alice.register("attic", ANOTHER);
    await alice.logs("attic", [failed("s1")], { epoch: "e2" });
    expect(sessionsOf(await all.events(2, 0)).toSorted()).toEqual(["attic/s1", "loft/s1"]);
    expect(sessionsOf(await limited.events(1, 0))).toEqual(["loft/s1"]);
    const [shown] = await overviewOf(alice);
    expect(shown).toMatchObject({ isPaused: false, filter: { machine: "loft", session: "loft/s1" } });
  });

  it("is for an MCP client the computer that it subscribed to: a refresh does not follow the name", async () => {
    const [alice, receiver, all] = [await person("attic"), new Receiver(), new Receiver()];
    const more = { arguments: { machineId: "attic" } };
    expect((await subscribe(alice, receiver.url, more)).error).toBeUndefined();
    expect((await subscribe(alice, all.url)).error).toBeUndefined();
    await pass(alice, ANOTHER.identity);
    expect((await subscribe(alice, receiver.url, more)).error).toMatchObject({
      code: -32_024,
      message: expect.stringContaining("unsubscribe and subscribe again"),
    });
    await alice.logs("attic", [failed("one")]);
    await all.events(1);
    await alice.rpc("events/unsubscribe", { name: "session.failed", delivery: { url: receiver.url }, ...more });
    expect((await subscribe(alice, receiver.url, more)).error).toBeUndefined();
    await alice.logs("attic", [failed("one"), failed("two")]);
    expect(sessionsOf(await receiver.events(1))).toEqual(["attic/two"]);
  });

  it("shows a token that is limited to the new computer nothing of the former one, from whatever cursor it begins", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await alice.logs("attic", [failed("of-the-former")]);
    await pass(alice, ANOTHER.identity);
    await alice.logs("attic", [failed("of-the-former"), failed("of-the-new")]);
    const limited = await clientOf(alice, "one", { machines: ["attic"] });
    const now = await limited.rpc("events/poll", { name: "session.failed" });
    const cursor = String(now.answer.result?.["cursor"]).replace(/-.*/, "-0");
    for (const [index, more] of [{}, { arguments: { machineId: "attic" } }].entries()) {
      expect((await subscribe(limited, receiver.url, { cursor, ...more })).error).toBeUndefined();
      const sessions = sessionsOf(await receiver.events(1 + index));
      expect(sessions).toEqual(sessions.map(() => "attic/of-the-new"));
    }
  });

  it("tells an app of the machines that it was allowed, and of no others", async () => {
    const [{ browser, user }, receiver] = [await somebody(), new Receiver()];
    for (const name of ["attic", "cellar"]) {
      await user.machine(name);
      await user.logs(name, []);
    }
    const { access_token: token } = await (await Client.registered()).signIn(browser, {}, { machine: "attic" });
    expect((await subscribe(new TestUser(user.id, token), receiver.url)).error).toBeUndefined();
    await user.logs("cellar", [failed("hidden")]);
    await user.logs("attic", [failed("shown")]);
    expect(sessionsOf(await receiver.events(1))).toEqual(["attic/shown"]);
  });

  it("is not subscribed to if nobody knows which computer it is", async () => {
    const alice = await person("attic");
    // As in a list of machines that was rebuilt from scripts older than 0.2.
    await runInDurableObject(env.USER.getByName(alice.id), (_, { storage }) => void storage.sql.exec("UPDATE machine SET identity = ''")); // prettier-ignore
    const { error } = await subscribe(alice, new Receiver().url, { arguments: { machineId: "attic" } });
    expect(error).toMatchObject({ code: -32_024, message: expect.stringContaining("codez setup") });
  });

  it("is, if an earlier release stored it by name, the computer that has the name when it is first read", async () => {
    const alice = await person("attic", "cellar");
    const { limited, all, id } = await hooked(alice, { machineId: "attic" });
    const narrow = await clientOf(alice, "one", { machines: ["attic"] });
    const receiver = new Receiver();
    expect((await subscribe(narrow, receiver.url)).error).toBeUndefined();
    const gone = await alice.rest("POST", "/api/webhooks", { url: limited.url, machineId: "cellar" });
    await alice.rest("DELETE", "/api/machines/cellar");
    await runInDurableObject(objectOf(alice), async (_, context) => {
      const { sql } = context.storage;
      sql.exec("ALTER TABLE subscription DROP COLUMN identity");
      sql.exec("ALTER TABLE subscription DROP COLUMN by_names");
      sql.exec(`UPDATE subscription SET visible = '["attic"]' WHERE visible IS NOT NULL`);
      await context.storage.sync();
      context.abort("upgraded");
    }).catch(() => undefined); // it ends this call, too
    expect(await overviewOf(alice)).toMatchObject([
      { id, isPaused: false, filter: { machine: "attic" } },
      { isPaused: false },
      { isPaused: false, visible: ["attic"] },
      { id: (await gone.json<{ id: string }>()).id, isPaused: true, filter: { machine: "cellar" } },
    ]);
    await alice.logs("attic", [failed("one")]);
    await pass(alice, ANOTHER.identity);
    await alice.logs("attic", [failed("one"), failed("two")]);
    expect(await all.events(2, 0)).toHaveLength(2);
    expect(sessionsOf(await limited.events(1, 0))).toEqual(["attic/one"]);
    expect(sessionsOf(await receiver.events(1))).toEqual(["attic/one"]);
  });
});

describe("secrets", () => {
  it.each([
    "",
    "whsec_",
    "secret",
    `whsec_${btoa("x".repeat(23))}`,
    `whsec_${btoa("x".repeat(65))}`,
    `WHSEC_${btoa("x".repeat(32))}`,
    `whsec_${btoa("x".repeat(32))}\n`,
    `whsec_${btoa("x".repeat(32))} `,
    "whsec_====",
    "whsec_abc$def",
  ])("of the form %j are refused before anything is sent", async (secret) => {
    const [alice, receiver] = [await person(), new Receiver()];
    const { error } = await subscribe(alice, receiver.url, {
      delivery: { mode: "webhook", url: receiver.url, secret },
    });
    expect(error?.code).toBe(-32_602);
    expect(keyOfSecret(secret)).toBeNull();
    expect(await receiver.received(0)).toEqual([]);
  });

  it("can be decrypted only in their own place, with the same key and unchanged", async () => {
    const sealed = await seal(SECRET, "alice/sub_1", "key");
    expect(await unseal(sealed, "alice/sub_1", "key")).toBe(SECRET);
    expect(sealed).not.toBe(await seal(SECRET, "alice/sub_1", "key"));
    const flipped = sealed.slice(0, -2) + (sealed.at(-2) === "A" ? "B" : "A") + sealed.slice(-1);
    for (const [stored, context, key] of [
      [sealed, "alice/sub_2", "key"],
      [sealed, "bob/sub_1", "key"],
      [sealed, "alice/sub_1", "another key"],
      [flipped, "alice/sub_1", "key"],
    ] as const)
      await expect(unseal(stored, context, key)).rejects.toThrow();
  });

  it("make a signature that fails after any change to the message", async () => {
    const [alice, receiver] = [await person("attic"), new Receiver()];
    await subscribe(alice, receiver.url);
    await alice.logs("attic", [failed("s1")]);
    const message = (await receiver.received(2))[1];
    if (message === undefined) throw new Error("nothing came");
    expect(await isSigned(message, SECRET)).toBe(true);
    const headers = (changed: object) => ({ ...message, headers: { ...message.headers, ...changed } });
    const forged = [
      { ...message, body: message.body.replace("s1", "s2") },
      { ...message, body: `${message.body} ` },
      headers({ "webhook-id": "evt_other" }),
      headers({ "webhook-timestamp": String(Number(message.headers["webhook-timestamp"]) + 1) }),
      headers({ "webhook-signature": `v1,${btoa("x".repeat(32))}` }),
    ];
    for (const one of forged) expect(await isSigned(one, SECRET)).toBe(false);
    expect(await isSigned(message, `whsec_${btoa("y".repeat(32))}`)).toBe(false);
  });
});

describe("messages that a person asks for", () => {
  it("are limited for all of their receivers together, tests and repetitions, and say when the next one may be sent", async () => {
    // What may be sent grows with time, which stands still here.
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const [alice, receiver] = [await person(), new Receiver()];
    const ids: string[] = [];
    for (let times = 0; times < 2; times += 1) {
      const added = await alice.rest("POST", "/api/webhooks", { url: `${receiver.url}?${times}` });
      ids.push(((await added.json()) as { id: string }).id);
    }
    const statuses: number[] = [];
    for (let times = 0; times < TRIES.burst; times += 1) {
      const response = await alice.rest(
        "POST",
        `/api/webhooks/${ids[times % 2]}/${times % 3 === 0 ? "retry" : "test"}`,
      );
      statuses.push(response.status);
    }
    expect(statuses).toEqual(statuses.map(() => 200));
    for (const what of ["test", "retry"]) {
      const refused = await alice.rest("POST", `/api/webhooks/${ids[0]}/${what}`);
      expect(refused.status).toBe(429);
      expect(await refused.json()).toMatchObject({ error: { code: "too_many_requests", retryable: true } });
    }
    const bob = await person();
    const added = await bob.rest("POST", "/api/webhooks", { url: receiver.url });
    const { id }: { id: string } = await added.json();
    expect((await bob.rest("POST", `/api/webhooks/${id}/test`)).status).toBe(200);
  });
});
