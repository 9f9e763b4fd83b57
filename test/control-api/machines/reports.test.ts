import { createExecutionContext } from "cloudflare:test";
import { describe, expect, it } from "vitest";
import type { MachineSummary } from "#protocol/rest-api.ts";
import { reportKeyOf } from "../../../control-api/src/machines/report-key.ts";
import { Reports } from "../../../control-api/src/machines/reports.ts";
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
  it("with the script's own key changes what the registry knows of that machine, and of no other", async () => {
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

  it.each(["", "null", "{}", '{"owner":"a","slug":"b"}'])("that is none is refused: %s", async (body) => {
    const request = new Request("http://control/report", { method: "POST", body });
    expect((await new Reports(createExecutionContext(), env).fetch(request)).status).toBe(400);
  });

  it("of a machine that is not registered changes nothing", async () => {
    const alice = new TestUser();
    expect((await alice.report("attic", { online: true })).status).toBe(204);
    expect(await machineOf(alice)).toBeUndefined();
  });

  it("of an earlier link than the last that is known comes too late", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: true, epoch: 2, position: { epoch: "e", seq: 4 } });
    await alice.report("attic", { online: false, epoch: 1, position: { epoch: "e", seq: 5 } });
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
  });

  it("that was overtaken by one about a longer log comes too late", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: false, epoch: 1, position: { epoch: "e", seq: 2 } });
    await alice.report("attic", { online: true, epoch: 1, position: { epoch: "e", seq: 1 } });
    expect(await machineOf(alice)).toMatchObject({ status: "offline" });
  });

  it("about a log begun anew counts, whatever its numbers", async () => {
    const alice = new TestUser();
    await alice.machine("attic");
    await alice.report("attic", { online: false, epoch: 7, position: { epoch: "e", seq: 90 } });
    await alice.report("attic", { online: true, epoch: 1, position: { epoch: "another", seq: 1 } });
    expect(await machineOf(alice)).toMatchObject({ status: "online" });
  });
});
