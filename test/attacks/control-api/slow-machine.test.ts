// Root cause: what is scheduled in a person's object runs one after the other, and the deliveries of calls and decisions were awaited there, machine by
// machine. One that took a minute and a half for each of a hundred calls held up the others' calls for hours, and with them the removal of machines
// and whatever else was due. Meanwhile each of its reports, four a second, put one more round of deliveries behind the one that ran.
import { runInDurableObject } from "cloudflare:test";
import { expect, test } from "vitest";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import { Deliveries } from "../../../control-api/src/delivery/deliveries.ts";
import { Outbox } from "../../../control-api/src/delivery/outbox.ts";
import type { User } from "../../../control-api/src/user/user.ts";
import { FACTS as MACHINE_FACTS } from "../../control-api/support/facts.ts";
import { env, TestUser } from "../../control-api/support/operator.ts";
import { restart } from "../../control-api/support/restart.ts";

const facts = { ...MACHINE_FACTS, capabilities: [KEYS_CAPABILITY] };

const objectOf = (user: string): DurableObjectStub<User> =>
  env.USER.getByName(user) as unknown as DurableObjectStub<User>;

test("a machine that takes its time for a call holds up neither the calls for others nor what else is scheduled", async () => {
  const user = new TestUser();
  for (const name of ["attic", "cellar"]) {
    await user.machine(name, { fails: { code: "link_lost", machine: name } });
    await user.report(name, { facts });
    const prompt = { session_id: `${name}/s-1`, text: "Fix the tests", key: name, on_offline: "queue" };
    expect((await user.tool("send_prompt", prompt)).structuredContent).toMatchObject({ status: "waiting_for_machine" });
  }
  await user.script("attic", { answers: { "tools/call send_prompt": { body: "", isSilent: true } } });
  await user.script("cellar");
  const before = (await user.reached("attic")).length;
  await runInDurableObject(objectOf(user.id), async (object, { storage: { sql } }) => {
    sql.exec("UPDATE delivery SET next_ms = 0");
    await object.deliverDecisions();
  });
  await expect.poll(async () => (await user.reached("attic")).length).toBeGreaterThan(before);
  await expect.poll(() => user.json("/api/deliveries/cellar")).toMatchObject({ delivered_at_ms: expect.any(Number) });
  await restart(objectOf(user.id)); // ends the attempt at the other one
});

test("reports that come while it does are served by one further round", () =>
  runInDurableObject(objectOf(`slow-${crypto.randomUUID()}`), async (_, { storage: { sql } }) => {
    const outbox = new Outbox(sql);
    const { promise: answered, resolve: answer } = Promise.withResolvers<void>();
    let rounds = 0;
    const now = (): number => {
      rounds += 1; // once at the beginning of a round without calls, and once when it looks for some
      return 1;
    };
    const deliveries = new Deliveries(outbox, {
      attempt: async () => {
        await answered;
        return { outcome: "delivered", answer: "{}", turn: null, isTaken: true };
      },
      isSame: () => true,
      isAllowed: () => true,
      isRepeatable: () => true,
      tell: () => undefined,
      now,
    });
    const call = { scope: "token:one", key: "k", machine: "attic", identity: "computer", tool: "send_prompt", digest: "", session: null, args: "{}" }; // prettier-ignore
    const sent = deliveries.send({ ...call, isQueued: true, queueMs: 60_000 });
    await scheduler.wait(1); // its round begins
    const reports = Array.from({ length: 500 }, () => deliveries.deliver("attic", false));
    const before = rounds;
    answer();
    await Promise.all([sent, ...reports]);
    expect(outbox.find("token:one", "k")?.state).toBe("consumed");
    expect(rounds - before).toBeLessThan(10);
  }));
