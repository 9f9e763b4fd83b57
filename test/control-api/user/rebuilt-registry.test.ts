import { evictDurableObject, runInDurableObject } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { Registration } from "#protocol/rest-api.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { codeOf, env, TestUser } from "../support/operator.ts";

/**
 * The database of a user's object is gone, as after a damaged disk; the dispatch namespace is not. The object is aborted in the same
 * moment, so that nothing that still writes to it finds it without its tables.
 */
async function loseDatabase(user: TestUser): Promise<void> {
  const object = env.USER.getByName(user.id) as unknown as DurableObjectStub<User>;
  const lost = runInDurableObject(object, async (_, ctx) => {
    await ctx.storage.deleteAll();
    await ctx.storage.deleteAlarm();
    ctx.abort("its database was lost");
  });
  await expect(lost).rejects.toThrow("its database was lost");
}

async function names(user: TestUser): Promise<string[]> {
  const { machines } = await user.json<{ machines: { name: string }[] }>("/api/machines");
  return machines.map(({ name }) => name);
}

describe("a registry whose database was lost", () => {
  it("gets back all of its user's machines, except removed ones, and nobody else's", async () => {
    const alice = new TestUser();
    const bob = new TestUser();
    for (const name of ["attic", "cellar", "loft"]) await alice.register(name);
    await bob.register("barn");
    await alice.rest("DELETE", "/api/machines/loft");
    await loseDatabase(alice);
    expect(await names(alice)).toEqual(["attic", "cellar"]);
    expect(await names(bob)).toEqual(["barn"]);
  });

  it("keeps a machine's token: the same computer sets it up without a new one, and another computer is refused", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await loseDatabase(alice);
    const again = await alice.register("attic");
    expect([again.status, await again.json<Registration>()]).toMatchObject([200, { token: null }]);
    expect((await alice.register("attic", { identity: "identity-of-another" })).status).toBe(409);
  });

  it("uploads a machine's script again with its token hash, and needs a new token to rename it", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await loseDatabase(alice);
    await alice.register("attic");
    const upload = (await alice.platformCalls("attic")).findLast(({ method }) => method === "PUT");
    expect(upload?.metadata?.bindings).toContainEqual({ type: "inherit", name: "LINK_TOKEN_HASH" });
    const refused = await alice.rest("PATCH", "/api/machines/attic", { name: "loft" });
    expect([refused.status, await refused.text()]).toEqual([400, expect.stringContaining("codez rotate attic")]);
    await alice.rest("POST", "/api/machines/attic/token");
    await alice.script("loft");
    expect((await alice.rest("PATCH", "/api/machines/attic", { name: "loft" })).status).toBe(200);
  });

  it("that was restored from an old copy accepts machines that report, except removed ones", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    await alice.register("loft");
    await alice.rest("DELETE", "/api/machines/loft");
    const object = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    await runInDurableObject(object, (_, ctx) => void ctx.storage.sql.exec("DELETE FROM machine"));
    expect(await names(alice)).toEqual([]);
    for (const name of ["attic", "loft"])
      expect((await alice.report(name, { online: true, epoch: 3, position: { epoch: "e", seq: 1 } })).status).toBe(204);
    await expect.poll(() => names(alice)).toEqual(["attic"]);
    expect(await alice.json("/api/machines")).toMatchObject({ machines: [{ status: "online" }] });
  });

  it("asks each machine's script once whether its machine is online, and shows a machine that does not answer as offline", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.machine("cellar", { fails: { code: "machine_starting", machine: "cellar" } });
    await loseDatabase(alice);
    const online = async (): Promise<[string, string][]> => {
      const { machines } = await alice.json<{ machines: { name: string; status: string }[] }>("/api/machines");
      return machines.map(({ name, status }) => [name, status]);
    };
    // Neither has reported since.
    await expect.poll(online).toContainEqual(["attic", "online"]);
    expect((await online()).find(([name]) => name === "cellar")?.[1]).not.toBe("online");
    const asked = (await alice.reached("attic")).filter(({ path }) => path === "/operator/state");
    expect(asked).toHaveLength(1);
  });

  it("is compared with the namespace only once", async () => {
    const alice = new TestUser();
    await alice.register("attic");
    const object = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    await runInDurableObject(object, (_, ctx) => void ctx.storage.sql.exec("DELETE FROM machine"));
    await evictDurableObject(object);
    expect(await names(alice)).toEqual([]);
    const unknown = await alice.rest("DELETE", "/api/machines/attic");
    expect(await codeOf(unknown)).toBe("machine_unknown");
  });
});
