import { runInDurableObject } from "cloudflare:test";
import { beforeEach, describe, expect, it } from "vitest";
import type { User } from "../../../control-api/src/user/user.ts";
import { env, TestUser } from "../support/operator.ts";
import { restart } from "../support/restart.ts";

let alice: TestUser;
let object: DurableObjectStub<User>;

/** A machine that was renamed, and whose former script the platform did not delete. */
beforeEach(async () => {
  alice = new TestUser();
  object = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
  await alice.machine("sticky");
  await alice.script("loft");
  await alice.report("sticky", { identity: "identity-of-sticky" });
  const renamed = await alice.rest("PATCH", "/api/machines/sticky", { name: "loft" });
  expect(renamed.status).toBe(200);
  expect(await methodsOf()).toEqual(["PUT", "DELETE"]);
});

/** What was done with the former script. */
async function methodsOf(): Promise<string[]> {
  return (await alice.platformCalls("sticky")).map(({ method }) => method).filter((method) => method !== "GET");
}

async function namesOf(): Promise<string[]> {
  const { machines } = await alice.json<{ machines: { name: string }[] }>("/api/machines");
  return machines.map(({ name }) => name);
}

/** The connector is still linked to the former script, and says something. */
async function reports(): Promise<void> {
  const events = [{ seq: 1, atMs: 1, type: "message", session: "s1", data: null }];
  const push = { after: 0, events, position: { epoch: "e", seq: 1 }, gap: false, more: false };
  await alice.report("sticky", { identity: "identity-of-sticky", position: { epoch: "e", seq: 1 } }, undefined, {
    push,
  });
}

describe("a former script that could not be deleted", () => {
  it("reports for the renamed machine, and is no machine of its own", async () => {
    await reports();
    expect(await namesOf()).toEqual(["loft"]);
    const { structuredContent } = await alice.tool("poll_events", { type: "message", timeout_ms: 0 });
    expect(structuredContent).toMatchObject({ events: [{ machine: "loft", type: "message" }] });
  });

  it("is tried again by one schedule, however many there are", async () => {
    await alice.machine("sticky-too");
    await alice.script("shed");
    expect((await alice.rest("PATCH", "/api/machines/sticky-too", { name: "shed" })).status).toBe(200);
    const schedules = await runInDurableObject(object, (user) => user.getSchedules());
    expect(schedules.filter(({ callback }) => callback === "finishChanges")).toHaveLength(1);
  });

  it("is deleted at the next attempt", async () => {
    await object.finishChanges();
    expect(await methodsOf()).toEqual(["PUT", "DELETE", "DELETE"]);
    await object.finishChanges();
    expect(await methodsOf()).toEqual(["PUT", "DELETE", "DELETE"]);
  });

  it("is deleted when the owner's object starts", async () => {
    await restart(object);
    await expect.poll(namesOf).toEqual(["loft"]);
    await expect.poll(methodsOf).toEqual(["PUT", "DELETE", "DELETE"]);
  });

  it("is deleted before another computer gets its name, whose script stays", async () => {
    const registered = await alice.register("sticky", { identity: "identity-of-another" });
    expect(registered.status).toBe(201);
    await object.finishChanges();
    expect(await methodsOf()).toEqual(["PUT", "DELETE", "DELETE", "PUT"]);
    expect((await namesOf()).toSorted()).toEqual(["loft", "sticky"]);
  });

  it.each([
    ["replaced", "POST", "/api/machines/loft/token"],
    ["given back", "POST", "/api/machines/loft/restore"],
  ])(
    "is deleted before the machine's token is %s: it would go on to accept the one that it knows",
    async (_, ...asked) => {
      await alice.rest(...asked);
      expect(await methodsOf()).toEqual(["PUT", "DELETE", "DELETE"]);
    },
  );
});
