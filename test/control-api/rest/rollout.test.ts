import { runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import { RolloutAnswer } from "#protocol/rollout.ts";
import { scriptVersion, wrapper } from "../../../control-api/src/machines/provisioning.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { deployServer } from "../support/deploy-server.ts";
import { env, TestUser } from "../support/operator.ts";

async function statusOf(user: TestUser): Promise<RolloutAnswer> {
  return RolloutAnswer.parse(await user.json("/api/rollout"));
}

async function uploadsOf(user: TestUser, name: string): Promise<number> {
  return (await user.platformCalls(name)).filter(({ method }) => method === "PUT").length;
}

/** A machine with an older template, which dials in. */
async function dialsIn(user: TestUser, name: string, epoch: number): Promise<void> {
  await user.report(name, { template: "older", epoch, position: { epoch: "e", seq: epoch } });
}

/** Somebody whose machine has got the current template in a rollout, as its canary. */
async function inRollout(name: string): Promise<TestUser> {
  const user = new TestUser();
  await user.machine(name);
  await user.rest("PUT", "/api/rollout/mode", { mode: "manual" });
  await dialsIn(user, name, 1);
  await user.rest("POST", "/api/rollout", {});
  await expect.poll(() => uploadsOf(user, name)).toBe(2);
  return user;
}

/** A hosted server from before its wrapper was recorded, which says that it has this one. */
async function oldServer(user: TestUser, name: string, says: string | undefined): Promise<void> {
  const deployed = await deployServer(user, name);
  expect(deployed.status).toBe(201);
  const object = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
  await runInDurableObject(object, (_, { storage }) => void storage.sql.exec("DELETE FROM server_wrapper"));
  await user.script(name, { answers: { ...stateOf(says), ...TOOLS } });
}

const stateOf = (says: string | undefined) => ({
  "GET /operator/state": {
    body: JSON.stringify({
      online: true,
      epoch: 1,
      connectedAtMs: null,
      lastSeenMs: 2,
      facts: null,
      position: { epoch: "hosted", seq: 0 },
      template: "hosted-1",
      wrapper: says,
      exchanges: 0,
      sessions: [],
    }),
  },
});
const TOOLS = {
  "tools/list": { body: JSON.stringify({ jsonrpc: "2.0", id: 1, result: { tools: [{ name: "look" }] } }) },
};

describe("a rollout of Operator's wrapper around hosted servers", () => {
  it("uploads the server's own version again with the current wrapper, and is done when that one answers", async () => {
    const alice = new TestUser();
    await oldServer(alice, "notes", undefined);
    const started = await alice.rest("POST", "/api/rollout", { watchMs: 1_000 });
    expect(await started.json()).toMatchObject({
      template: scriptVersion(env),
      machines: [{ name: "notes", before: "wrapper-of-notes" }],
    });
    await expect.poll(() => uploadsOf(alice, "notes")).toBe(2);
    const upload = (await alice.platformCalls("notes")).findLast(({ method }) => method === "PUT");
    expect(upload?.parts?.map(({ name }) => name)).toEqual(["metadata", "entry.js", "host.js", "server/index.js"]);
    const textOf = (wanted: string) => upload?.metadata?.bindings.find(({ name }) => name === wanted);
    expect(textOf("OPERATOR_TEMPLATE")).toMatchObject({ text: "hosted-1" });
    expect(textOf("OPERATOR_WRAPPER")).toMatchObject({ text: wrapper().version });
    await alice.script("notes", { answers: { ...stateOf(wrapper().version), ...TOOLS } });
    await expect.poll(async () => (await statusOf(alice)).rollout?.state).toBe("done");
    const again = await alice.rest("POST", "/api/rollout");
    expect(await again.text()).toContain("has the current template already");
  });

  it("gives a server its former wrapper back if it no longer lists its tools with the new one", async () => {
    const alice = new TestUser();
    await oldServer(alice, "notes", undefined);
    await alice.rest("POST", "/api/rollout", { watchMs: 1_000 });
    await expect.poll(() => uploadsOf(alice, "notes")).toBe(2);
    await alice.script("notes", { answers: stateOf(wrapper().version) });
    await expect.poll(async () => (await statusOf(alice)).rollout?.state).toBe("back");
    expect((await statusOf(alice)).rollout?.reason).toContain("answered calls before, and does not now");
    const upload = (await alice.platformCalls("notes")).findLast(({ method }) => method === "PUT");
    const version = upload?.metadata?.bindings.find(({ name }) => name === "OPERATOR_WRAPPER");
    expect(version).toMatchObject({ text: "wrapper-of-notes" });
  });
});

describe("a rollout by the API", () => {
  it("is its owner's own, and needs the right to administer", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await alice.machine("attic");
    await dialsIn(alice, "attic", 1);
    const made = await alice.rest("POST", "/api/tokens", { label: "x", scopes: ["operator:read"] });
    const looking = new TestUser(alice.id, (await made.json<{ token: string }>()).token);
    for (const [method, path] of [
      ["GET", "/api/rollout"],
      ["POST", "/api/rollout"],
      ["POST", "/api/rollout/back"],
      ["PUT", "/api/rollout/mode"],
    ] as const)
      expect([method, path, (await looking.rest(method, path)).status]).toEqual([method, path, 403]);
    expect((await bob.rest("POST", "/api/rollout/back")).status).toBe(400);
    expect(await statusOf(bob)).toEqual({ rollout: null, mode: "automatic" });
  });

  it.each<[string, object, string]>([
    ["without an older machine", {}, "has the current template already"],
    ["with an unknown field", { canaries: ["attic"] }, "canaries"],
    ["with a share that is none", { canary: { share: 2 } }, "share"],
  ])("is refused %s, with what is wrong", async (_, body, why) => {
    const alice = new TestUser();
    await alice.machine("attic");
    const refused = await alice.rest("POST", "/api/rollout", body);
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining(why)]);
  });

  it("decides which template machines have: none is upgraded as it dials in before its turn", async () => {
    const alice = new TestUser();
    for (const name of ["attic", "barn"]) await alice.machine(name);
    await alice.rest("PUT", "/api/rollout/mode", { mode: "manual" });
    await expect.poll(async () => (await alice.fetch("/api/audit")).text()).toContain("rollouts are manual");
    for (const name of ["attic", "barn"]) await dialsIn(alice, name, 1);
    expect([await uploadsOf(alice, "attic"), await uploadsOf(alice, "barn")]).toEqual([1, 1]);
    const started = await alice.rest("POST", "/api/rollout", { canary: { names: ["attic"] } });
    expect(await started.json()).toMatchObject({
      state: "canaries",
      machines: [
        { name: "attic", isCanary: true, before: "older" },
        { name: "barn", isCanary: false, step: "waiting" },
      ],
    });
    await alice.rest("POST", "/api/rollout/pause");
    await dialsIn(alice, "barn", 2);
    expect(await uploadsOf(alice, "barn")).toBe(1);
    expect((await statusOf(alice)).rollout).toMatchObject({ isPaused: true });
  });

  it("uploads to its canary, and keeps the code that was there for the way back", async () => {
    const alice = await inRollout("attic");
    expect((await alice.platformCalls("attic")).some(({ path }) => path.endsWith("/content"))).toBe(true);
  });

  it("leaves what has the name of a removed machine alone, which may be of another kind", async () => {
    const alice = await inRollout("attic");
    expect((await alice.rest("DELETE", "/api/machines/attic")).ok).toBe(true);
    expect((await deployServer(alice, "attic")).status).toBe(201);
    await alice.rest("POST", "/api/rollout/back");
    await expect.poll(async () => (await statusOf(alice)).rollout?.state).toBe("back");
    expect((await statusOf(alice)).rollout?.machines).toEqual([]);
    const [last, ...earlier] = (await alice.platformCalls("attic"))
      .filter(({ method }) => method === "PUT")
      .toReversed();
    expect(earlier).toHaveLength(2);
    const version = last?.metadata?.bindings.find(({ name }) => name === "OPERATOR_WRAPPER");
    expect(version).toMatchObject({ text: wrapper().version });
  });
});
