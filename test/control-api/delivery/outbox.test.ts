import { runInDurableObject } from "cloudflare:test";
import { expect, it } from "vitest";
import { Deliveries } from "../../../control-api/src/delivery/deliveries.ts";
import { Outbox } from "../../../control-api/src/delivery/outbox.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { env } from "../support/operator.ts";

const NOW = 1_800_000_000_000;

it("passes the calls of former grants on, of which two may have used the same key", async () => {
  const object = env.USER.getByName(`outbox-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  await runInDurableObject(object, (_, { storage: { sql } }) => {
    const outbox = new Outbox(sql);
    const what = { machine: "attic", identity: "computer", tool: "send_prompt", digest: "", session: null, args: "{}" };
    const call = (scope: string, key: string): void =>
      void outbox.accept({ scope, key, ...what, isQueued: true, queueMs: 60_000 }, NOW);
    call("grant:one", "same");
    call("grant:two", "same");
    call("grant:two", "other");
    for (const former of ["grant:one", "grant:two"]) outbox.passOn(former, "grant:three", NOW);
    const states = (scope: string): string[][] => outbox.list(scope, 9).map(({ key, state }) => [key, state]);
    expect(states("grant:three")).toEqual([
      ["other", "accepted"],
      ["same", "accepted"],
    ]);
    // What did not fit would run a second time, and nobody could cancel it.
    expect([states("grant:one"), states("grant:two")]).toEqual([[], [["same", "cancelled"]]]);
    expect(outbox.due("attic", true, NOW)).toHaveLength(2);
  });
});

it("renames the calls for a computer, and not those for one that had its name before", async () => {
  const object = env.USER.getByName(`outbox-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  await runInDurableObject(object, (_, { storage: { sql } }) => {
    const outbox = new Outbox(sql);
    const what = { scope: "s", machine: "attic", tool: "send_prompt", digest: "", session: null, args: "{}" };
    for (const identity of ["former", "present"])
      outbox.accept({ ...what, key: identity, identity, isQueued: true, queueMs: 60_000 }, NOW);
    outbox.rename({ from: "attic", to: "loft", identity: "present" });
    expect(outbox.list("s", 9).map(({ key, machine }) => [key, machine])).toEqual([
      ["present", "loft"],
      ["former", "attic"],
    ]);
  });
});

it("repeats a call that broke off because its machine got another name, if the machine knows keys", async () => {
  const object = env.USER.getByName(`outbox-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  await runInDurableObject(object, async (_, { storage: { sql } }) => {
    const outbox = new Outbox(sql);
    const deliveries = new Deliveries(outbox, {
      attempt: async () => {
        outbox.rename({ from: "attic", to: "loft", identity: "computer" });
        return { outcome: "away", error: "{}", mayHaveRun: true };
      },
      isSame: () => true,
      isAllowed: () => true,
      isRepeatable: (machine) => machine === "loft",
      tell: () => undefined,
      now: () => NOW,
    });
    const call = { scope: "s", key: "k", machine: "attic", identity: "computer", tool: "send_prompt", digest: "" };
    const sent = await deliveries.send({ ...call, session: null, args: "{}", isQueued: true, queueMs: 60_000 });
    expect(sent).toMatchObject({ machine: "loft", state: "accepted", endedMs: null });
  });
});

it("counts a prompt as taken when the agent of its computer says so, and not that of another one with the name", async () => {
  const object = env.USER.getByName(`outbox-${crypto.randomUUID()}`) as unknown as DurableObjectStub<User>;
  await runInDurableObject(object, (_, { storage: { sql } }) => {
    const outbox = new Outbox(sql);
    const what = { scope: "s", key: "k", machine: "attic", tool: "send_prompt", digest: "", session: null, args: "{}" };
    const accepted = outbox.accept({ ...what, identity: "computer", isQueued: true, queueMs: 60_000 }, NOW);
    if (typeof accepted === "string") throw new Error(accepted);
    outbox.begin(accepted.record.id, true, NOW);
    outbox.end(accepted.record.id, { outcome: "delivered", answer: "{}", turn: "t", isTaken: false }, true, NOW);
    outbox.taken({ machine: "attic", identity: "another" }, "t", NOW);
    expect(outbox.find("s", "k")).toMatchObject({ state: "delivered" });
    outbox.taken({ machine: "attic", identity: "computer" }, "t", NOW);
    expect(outbox.find("s", "k")).toMatchObject({ state: "consumed" });
  });
});
