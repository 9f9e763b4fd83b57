import { runDurableObjectAlarm, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import type { Webhooks } from "../../../control-api/src/webhooks/webhooks.ts";
import { deployServer, mainModule } from "../support/deploy-server.ts";
import { FACTS } from "../support/facts.ts";
import { env, knock, ORIGIN, TestUser } from "../support/operator.ts";
import { Receiver, SECRET } from "../support/receiver.ts";
import { restart } from "../support/restart.ts";

const objectOf = (user: TestUser) => env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
const hooksOf = (user: TestUser) => env.WEBHOOKS.getByName(user.id) as unknown as DurableObjectStub<Webhooks>;

/** What the platform was asked to do with a script. */
async function changesOf(user: TestUser, name: string): Promise<string[]> {
  return (await user.platformCalls(name)).map(({ method }) => method).filter((method) => method !== "GET");
}

/** Restarts the user's object as soon as the platform has carried out so many changes of a script, the last of which it does not answer. */
async function interrupt(user: TestUser, name: string, changes: number, asked: Promise<Response>): Promise<void> {
  await expect.poll(async () => (await changesOf(user, name)).length).toBe(changes);
  await restart(objectOf(user));
  expect((await asked).ok).toBe(false);
  await namesOf(user); // starts it again
}

async function namesOf(user: TestUser): Promise<string[]> {
  const { machines } = await user.json<{ machines: { name: string }[] }>("/api/machines");
  return machines.map(({ name }) => name).toSorted();
}

/** An enrolment key, without the address that it carries for `codez`. */
async function keyOf(user: TestUser, more: object): Promise<{ id: string; key: string }> {
  const made = await user.rest("POST", "/api/keys", { ephemeral: true, ...more });
  const { id, key } = await made.json<{ id: string; key: string }>();
  return { id, key: key.replace(/@.*$/, "") };
}

function enrol(key: string, identity: string): Promise<Response> {
  const headers = { authorization: `Bearer ${key}` };
  return knock(`${ORIGIN}/api/enrolments`, { method: "POST", headers, body: JSON.stringify({ identity }) });
}

describe("a change that a restart of its owner's object has ended", () => {
  it("is taken back if it was a registration: nobody knows the token of the script that was uploaded", async () => {
    const [alice, name] = [new TestUser(), "unanswered-put-1"];
    await interrupt(alice, name, 1, alice.register(name));
    expect(await namesOf(alice)).toEqual([]);
    await expect.poll(() => changesOf(alice, name)).toEqual(["PUT", "DELETE"]);
    expect((await alice.register(name)).status).toBe(201);
    expect(await changesOf(alice, name)).toEqual(["PUT", "DELETE", "PUT"]);
  });

  it("is finished if it was a removal", async () => {
    const [alice, name] = [new TestUser(), "unanswered-delete-1"];
    await alice.machine(name);
    await interrupt(alice, name, 2, alice.rest("DELETE", `/api/machines/${name}`));
    await expect.poll(() => namesOf(alice)).toEqual([]);
    expect(await changesOf(alice, name)).toEqual(["PUT", "DELETE", "DELETE"]);
  });

  it("is finished if it was the removal of a revoked key's machines, none of which a new token keeps", async () => {
    const [alice, tag] = [new TestUser(), "unanswered-delete-1"];
    const { id, key } = await keyOf(alice, { tag, reusable: true });
    for (const identity of ["identity-of-container-1", "identity-of-container-2"])
      expect((await enrol(key, identity)).status).toBe(201);
    const revoked = alice.rest("DELETE", `/api/keys/${id}?machines=true`);
    await expect.poll(() => changesOf(alice, tag)).toEqual(["PUT", "DELETE"]); // the second machine's turn has not come
    expect((await alice.rest("POST", `/api/machines/${tag}-2/token`)).status).toBe(404);
    await interrupt(alice, tag, 2, revoked);
    await expect.poll(() => namesOf(alice)).toEqual([]);
  });

  it("is finished if it was the removal of a revoked key's machine that was being renamed", async () => {
    const [alice, tag] = [new TestUser(), "unanswered-delete-1"];
    const { id, key } = await keyOf(alice, { tag });
    expect((await enrol(key, "identity-of-container-1")).status).toBe(201);
    // Its log is copied page by page, which takes until the test says that there is no further page.
    const events = Array.from({ length: 5_000 }, (_, index) => ({
      seq: index + 1,
      atMs: 0,
      type: "message",
      session: null,
      data: null,
    }));
    await alice.script(tag, { log: { epoch: "e", events, pageRows: 1 } });
    await alice.script("loft");
    const renamed = alice.rest("PATCH", `/api/machines/${tag}`, { name: "loft" });
    await expect.poll(() => changesOf(alice, "loft")).toEqual(["PUT"]);
    const revoked = alice.rest("DELETE", `/api/keys/${id}?machines=true`);
    const begun = () =>
      runInDurableObject(objectOf(alice), (_, { storage }) =>
        storage.sql.exec("SELECT name FROM unfinished_script WHERE because = 'removed'").toArray(),
      );
    await expect.poll(begun).toEqual([{ name: tag }]);
    await alice.script(tag);
    await interrupt(alice, tag, 2, renamed);
    expect((await revoked).ok).toBe(false);
    await expect.poll(() => namesOf(alice)).toEqual([]);
  });

  it("is taken back if it was a rename whose new name was not recorded, and can be repeated", async () => {
    const [alice, to] = [new TestUser(), "unanswered-put-1"];
    await alice.machine("attic");
    const rename = (): Promise<Response> => alice.rest("PATCH", "/api/machines/attic", { name: to });
    await interrupt(alice, to, 1, rename());
    expect(await namesOf(alice)).toEqual(["attic"]);
    await expect.poll(() => changesOf(alice, to)).toEqual(["PUT", "DELETE"]);
    await alice.script(to);
    expect((await rename()).status).toBe(200);
    expect(await namesOf(alice)).toEqual([to]);
  });

  it("is recorded when it is repeated, if it gave a machine back to the computer that had it before", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    expect((await alice.register("attic", { identity: "identity-of-another", replace: true })).status).toBe(200);
    // The script has undone it already, and was not told so by this call.
    const body = JSON.stringify({
      identity: "identity-of-attic",
      tokens: [{ hash: "a".repeat(64), expiresMs: null }],
      key: null,
      issuedMs: 1,
      refused: null,
      earlier: null,
    });
    const answer = { body, headers: { "content-type": "application/json" } };
    await alice.script("attic", {
      answers: { "POST /operator/credentials": answer, "GET /operator/credentials": answer },
    });
    expect((await alice.rest("POST", "/api/machines/attic/restore")).status).toBe(200);
    expect((await objectOf(alice).machine("attic"))?.identity).toBe("identity-of-attic");
    expect((await alice.rest("POST", "/api/machines/attic/restore")).status).toBe(400);
  });

  describe("of a hosted server", () => {
    const deploy = (user: TestUser, name: string, text: string): Promise<Response> =>
      deployServer(user, name, { modules: [mainModule(text)] });
    const versionsOf = async (user: TestUser, name: string): Promise<(string | undefined)[]> =>
      (await user.platformCalls(name)).flatMap(({ method, metadata }) =>
        method === "PUT" ? [metadata?.bindings.find((one) => one["name"] === "OPERATOR_TEMPLATE")?.["text"]] : [],
      );

    it("leaves no script of a first deployment", async () => {
      const [alice, name] = [new TestUser(), "unanswered-put-1"];
      await interrupt(alice, name, 1, deploy(alice, name, "export default {};"));
      await expect.poll(() => changesOf(alice, name)).toEqual(["PUT", "DELETE"]);
      expect(await alice.json("/api/servers")).toEqual({ servers: [] });
    });

    it("leaves the version that is recorded", async () => {
      const [alice, name] = [new TestUser(), "unanswered-put-2"];
      expect((await deploy(alice, name, "export default {};")).status).toBe(201);
      await interrupt(alice, name, 2, deploy(alice, name, "export default 2;"));
      await expect.poll(() => changesOf(alice, name)).toHaveLength(3);
      const [first, second, third] = await versionsOf(alice, name);
      expect(second).not.toBe(first);
      expect(third).toBe(first);
    });
  });
});

describe("an enrolment key", () => {
  it("for one machine is not used up by a registration that a restart has ended", async () => {
    const [alice, tag] = [new TestUser(), "unanswered-put-1"];
    const { key } = await keyOf(alice, { tag });
    await interrupt(alice, tag, 1, enrol(key, "identity-of-container-one"));
    expect((await enrol(key, "identity-of-container-two")).status).toBe(201);
    expect((await enrol(key, "identity-of-container-three")).status).toBe(403);
  });

  it("that was to be revoked with its machines leaves none of them, also if a restart comes between", async () => {
    const [alice, tag] = [new TestUser(), "unanswered-delete-1"];
    const { id, key } = await keyOf(alice, { tag, reusable: true });
    for (const number of ["one", "two", "three"])
      expect((await enrol(key, `identity-of-container-${number}`)).status).toBe(201);
    await interrupt(alice, tag, 2, alice.rest("DELETE", `/api/keys/${id}?machines=true`));
    await expect.poll(() => namesOf(alice)).toEqual([]);
  });
});

it("a call with a key is tried again after a restart in the middle of its first attempt", async () => {
  const alice = new TestUser();
  await alice.machine("attic", { answers: { "tools/call send_prompt": { body: "", isSilent: true } } });
  await alice.report("attic", { facts: { ...FACTS, capabilities: [KEYS_CAPABILITY] } });
  const args = { session_id: "attic/s-1", text: "Fix the tests", key: "k-1", on_offline: "queue" };
  const sent = alice.tool("send_prompt", args).catch(() => undefined);
  await expect.poll(async () => (await alice.reached("attic")).map(({ path }) => path)).toContain("/operator/call");
  await restart(objectOf(alice));
  await sent;
  const scheduled = async (): Promise<string[]> =>
    (await runInDurableObject(objectOf(alice), (user) => user.getSchedules())).map(({ callback }) => callback);
  await expect.poll(scheduled).toContain("deliverDecisions");
});

describe("a webhook whose object is restarted while it is made", () => {
  /** Its object meets a person's object in which this method never answers, from its so many-th call on. */
  const withoutAnswer = (user: TestUser, method: string, from: number): Promise<() => boolean> =>
    runInDurableObject(hooksOf(user), (object) => {
      let calls = 0;
      const registry = env.USER.getByName(user.id);
      const silent = new Proxy(registry, {
        get: (target, name: string) =>
          name === method && ++calls >= from
            ? () => new Promise(() => undefined)
            : (...args: unknown[]) =>
                (target as unknown as Record<string, (...all: unknown[]) => unknown>)[name]?.(...args),
      });
      const changed = object as unknown as { env: object };
      changed.env = { ...env, USER: { getByName: () => silent } };
      return () => calls >= from;
    });

  it("is told of what happens, although nobody had told the person's object to report it", async () => {
    const [alice, receiver] = [new TestUser(), new Receiver()];
    await alice.machine("attic");
    await alice.logs("attic", []);
    const isSilent = await withoutAnswer(alice, "follow", 1);
    void alice.rest("POST", "/api/webhooks", { url: receiver.url, types: ["session.failed"] });
    await expect.poll(isSilent).toBe(true);
    await restart(hooksOf(alice));
    await alice.logs("attic", [{ type: "session.error", session: "s", data: { message: "no" } }]);
    expect(await runDurableObjectAlarm(hooksOf(alice))).toBe(true);
    expect(await receiver.events(1, 0)).toHaveLength(1);
  });

  it("is not stored without what happened after its client's cursor", async () => {
    const [alice, receiver] = [new TestUser(), new Receiver()];
    await alice.machine("attic");
    await alice.logs("attic", []);
    const { structuredContent } = await alice.tool("poll_events", { timeout_ms: 0 });
    const { cursor } = structuredContent as { cursor: string };
    await alice.logs("attic", [{ type: "session.error", session: "s", data: { message: "no" } }]);
    const delivery = { mode: "webhook", url: receiver.url, secret: SECRET };
    const subscribe = () => alice.rpc("events/subscribe", { name: "session.failed", delivery, cursor });
    const isSilent = await withoutAnswer(alice, "pollEvents", 1);
    void subscribe();
    await expect.poll(isSilent).toBe(true);
    await restart(hooksOf(alice));
    const { answer } = await subscribe();
    expect(answer.error).toBeUndefined();
    expect(await receiver.events(1)).toHaveLength(1);
  });
});
