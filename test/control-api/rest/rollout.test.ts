import { describe, expect, it, vi } from "vitest";
import { RolloutAnswer } from "#protocol/rollout.ts";
import { TestUser } from "../support/operator.ts";

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
    await vi.waitFor(async () =>
      expect(await (await alice.fetch("/api/audit")).text()).toContain("rollouts are manual"),
    );
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
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.rest("PUT", "/api/rollout/mode", { mode: "manual" });
    await dialsIn(alice, "attic", 1);
    await alice.rest("POST", "/api/rollout", {});
    await vi.waitFor(async () => expect(await uploadsOf(alice, "attic")).toBe(2), 20_000);
    expect((await alice.platformCalls("attic")).some(({ path }) => path.endsWith("/content"))).toBe(true);
  });
});
