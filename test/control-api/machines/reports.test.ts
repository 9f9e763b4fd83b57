import { createExecutionContext, runInDurableObject } from "cloudflare:test";
import { describe, expect, it, onTestFinished, vi } from "vitest";
import { MAX_FACTS_CHARACTERS, MAX_REPORT_BYTES, PRESENCE_LEASE_MS } from "#protocol/limits.ts";
import type { MachineSummary } from "#protocol/rest-api.ts";
import { reportKeyOf } from "../../../control-api/src/machines/report-key.ts";
import { Reports } from "../../../control-api/src/machines/reports.ts";
import { User } from "../../../control-api/src/user/user.ts";
import { env, TestUser } from "../support/operator.ts";

async function machineOf(user: TestUser): Promise<MachineSummary | undefined> {
  const { machines }: { machines: MachineSummary[] } = await user.json("/api/machines");
  return machines[0];
}

const facts = {
  hostname: "attic.lan",
  os: "linux",
  arch: "x64",
  cpus: 1,
  memoryBytes: 1,
  codez: "1",
  agent: null,
  repos: [],
  capabilities: [],
};

describe("a report", () => {
  it("with the script's own key updates that machine in the registry, and no other", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.machine("barn");
    expect((await alice.report("attic", { online: true, lastSeenMs: 9, facts })).status).toBe(204);
    const { machines }: { machines: MachineSummary[] } = await alice.json("/api/machines");
    expect(machines).toMatchObject([
      { name: "attic", status: "online", lastSeenMs: 9, facts },
      { name: "barn", status: "never_connected", facts: null },
    ]);
  });

  it("without a key, with a wrong one, or with another machine's key is refused", async () => {
    const [alice, bob] = [new TestUser(), new TestUser()];
    await alice.machine("attic");
    await bob.machine("attic");
    const slug = await alice.slug("attic");
    const keys = [
      "",
      "0".repeat(64),
      await reportKeyOf(bob.id, await bob.slug("attic"), env.REPORT_SECRET), // another user's script of the same name
      await reportKeyOf(alice.id, await alice.slug("barn"), env.REPORT_SECRET), // another script of the same user
      await reportKeyOf(bob.id, slug, env.REPORT_SECRET),
      await reportKeyOf(alice.id, slug, "another secret"),
    ];
    for (const key of keys) expect((await alice.report("attic", { online: true }, key)).status).toBe(403);
    expect(await machineOf(alice)).toMatchObject({ status: "never_connected" });
  });

  it.each(["", "null", "{}", '{"owner":"a","slug":"b"}'])("is refused if it is invalid: %s", async (body) => {
    const request = new Request("http://control/report", { method: "POST", body });
    expect((await new Reports(createExecutionContext(), env).fetch(request)).status).toBe(400);
  });

  it("larger than any that a script sends is refused, although all else is right", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const send = (spaces: number) => alice.report("attic", {}, undefined, { spaces });
    expect((await send(MAX_REPORT_BYTES)).status).toBe(400);
    expect((await send(0)).status).toBe(204);
  });

  it("of an unregistered machine changes nothing", async () => {
    const alice = new TestUser();
    expect((await alice.report("attic", { online: true })).status).toBe(204);
    expect(await machineOf(alice)).toBeUndefined();
  });

  it("of a computer that was renamed changes nothing of the one that has its former name", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.script("barn");
    const renamed = await alice.rest("PATCH", "/api/machines/attic", { name: "barn" });
    const registered = await alice.register("attic", { identity: "identity-of-another" });
    expect([renamed.status, registered.status]).toEqual([200, 201]);
    await alice.report("attic", { identity: "identity-of-attic", online: true, position: { epoch: "e", seq: 9 } });
    expect(await machineOf(alice)).toMatchObject({ name: "attic", status: "never_connected" });
    await alice.report("attic", { identity: "identity-of-another", online: true });
    expect(await machineOf(alice)).toMatchObject({ name: "attic", status: "online" });
  });

  it("of an earlier link than the last known one is ignored", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: true, epoch: 2, position: { epoch: "e", seq: 4 } });
    await alice.report("attic", { online: false, epoch: 1, position: { epoch: "e", seq: 5 } });
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
  });

  it("is ignored if one about a longer log arrived first", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: false, epoch: 1, position: { epoch: "e", seq: 2 } });
    await alice.report("attic", { online: true, epoch: 1, position: { epoch: "e", seq: 1 } });
    expect(await machineOf(alice)).toMatchObject({ status: "offline" });
  });

  it("about a log that started again is accepted, whatever its numbers", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: false, epoch: 7, position: { epoch: "e", seq: 90 } });
    await alice.report("attic", { online: true, epoch: 1, position: { epoch: "another", seq: 1 } });
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
  });
});

describe("facts in a report", () => {
  it("are kept when a report omits them, and requested when none are known", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const asked = await alice.report("attic", { online: true }, undefined, { withFacts: false });
    expect(asked.headers.get("x-operator-wants")).toBe("facts");
    await alice.report("attic", { online: true, facts, position: { epoch: "e", seq: 1 } });
    const position = { epoch: "e", seq: 2 };
    const later = await alice.report("attic", { online: true, position }, undefined, { withFacts: false });
    expect(later.headers.get("x-operator-wants")).toBeNull();
    expect(await machineOf(alice)).toMatchObject({ status: "online", facts });
  });

  it("of one machine cannot make the list of all of them large", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    const repos = Array.from({ length: 200 }, () => ({ path: "/p".repeat(5_000), remote: "r".repeat(10_000) }));
    await alice.report("attic", { online: true, facts: { ...facts, hostname: "h".repeat(1_000_000), repos } });
    const listed = await (await alice.fetch("/api/machines")).text();
    expect(listed.length).toBeLessThan(MAX_FACTS_CHARACTERS + 1_000);
  });
});

describe("a machine is shown as online", () => {
  async function online(): Promise<TestUser> {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: true });
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
    return alice;
  }

  it("until its script has not reported for the time of a lease", async () => {
    vi.useFakeTimers({ toFake: ["Date"], now: Date.now() });
    onTestFinished(() => void vi.useRealTimers());
    const alice = await online();
    vi.setSystemTime(Date.now() + PRESENCE_LEASE_MS - 1_000);
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
    await alice.report("attic", { online: true });
    vi.setSystemTime(Date.now() + PRESENCE_LEASE_MS - 1_000);
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
    vi.setSystemTime(Date.now() + 2_000);
    expect(await machineOf(alice)).toMatchObject({ status: "offline" });
  });

  const said = {
    epoch: 1,
    connectedAtMs: null,
    lastSeenMs: 5,
    facts: null,
    position: { epoch: "e", seq: 9 },
    template: "t1",
    exchanges: 0,
    sessions: [],
  };

  it("until somebody looks at it and its script says that it is offline", async () => {
    const alice = await online();
    const body = JSON.stringify({ ...said, online: false });
    await alice.script("attic", { answers: { "GET /operator/state": { body } } });
    expect(await alice.json("/api/machines/attic")).toMatchObject({ status: "offline", lastSeenMs: 5 });
    expect(await machineOf(alice)).toMatchObject({ status: "offline", lastSeenMs: 5 });
  });

  it("until its script does not answer, and again once it answers", async () => {
    const alice = await online();
    await alice.script("attic", { fails: { code: "machine_starting", machine: "attic" } });
    expect(await alice.json("/api/machines/attic")).toMatchObject({
      status: "offline",
      error: { code: "machine_starting" },
    });
    expect(await machineOf(alice)).toMatchObject({ status: "offline" });
    const user = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    const checks = (): Promise<unknown[]> =>
      runInDurableObject(user, async (object) =>
        (await object.listSchedules()).flatMap(({ callback, payload }) => (callback === "recheck" ? [payload] : [])),
      );
    expect(await checks()).toEqual([{ name: "attic", asked: 1 }]);
    await runInDurableObject(user, (object) => object.recheck({ name: "attic", asked: 1 }));
    expect(await checks()).toEqual([
      { name: "attic", asked: 1 },
      { name: "attic", asked: 2 },
    ]);
    const body = JSON.stringify({ ...said, online: true });
    await alice.script("attic", { answers: { "GET /operator/state": { body } } });
    await runInDurableObject(user, (object) => object.recheck({ name: "attic", asked: 2 }));
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
  });

  it("until the platform restarts, which no link survives", async () => {
    const alice = await online();
    const user = env.USER.getByName(alice.id) as unknown as DurableObjectStub<User>;
    const startAnew = (start: string): Promise<string[]> =>
      runInDurableObject(user, (_, ctx) => {
        const object = new User(ctx as DurableObjectState, { ...env, PLATFORM_START: start });
        return object.machines().map(({ online: isOnline }) => String(isOnline));
      });
    expect(await startAnew("first")).toEqual(["false"]);
    await alice.report("attic", { online: true, epoch: 2, position: { epoch: "e", seq: 10 } });
    expect(await startAnew("first")).toEqual(["true"]); // the control API alone was restarted
    expect(await startAnew("second")).toEqual(["false"]);
  });
});
