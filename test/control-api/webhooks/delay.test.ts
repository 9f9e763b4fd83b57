import { runInDurableObject } from "cloudflare:test";
import { afterEach, expect, it, vi } from "vitest";
import { env, TestUser } from "../support/operator.ts";
import { Receiver, SECRET } from "../support/receiver.ts";

const failed = (session: string) => ({ type: "session.error", session, data: { message: session } });

afterEach(() => {
  vi.useRealTimers();
  vi.restoreAllMocks();
});

/**
 * From a machine to a callback in under a second, without a clock: the script reports an event within a quarter of a second
 * (test/machine-template/src/reporter-pace.test.ts), and from there on nothing waits. Here no timer ever fires and no alarm runs.
 */
it("an event goes from a machine's report to a subscriber's callback without waiting for a timer or an alarm", async () => {
  const [alice, receiver] = [new TestUser(), new Receiver()];
  await alice.machine("attic");
  await alice.logs("attic", []);
  const params = { name: "session.failed", delivery: { mode: "webhook", url: receiver.url, secret: SECRET } };
  expect((await alice.rpc("events/subscribe", params)).answer.error).toBeUndefined();
  await runInDurableObject(env.WEBHOOKS.getByName(alice.id), (object) => {
    vi.spyOn(object as unknown as { alarm(): Promise<void> }, "alarm").mockRejectedValue(new Error("an alarm ran"));
  });
  vi.useFakeTimers({ toFake: ["setTimeout", "setInterval"] });
  vi.spyOn(scheduler, "wait").mockReturnValue(new Promise(() => undefined));
  await alice.logs("attic", [failed("s1")]);
  expect(await receiver.events(1)).toMatchObject([{ data: { session: "attic/s1" } }]);
  await alice.logs("attic", [failed("s1"), failed("s2")]);
  expect(await receiver.events(2)).toMatchObject([
    { data: { session: "attic/s1" } },
    { data: { session: "attic/s2" } },
  ]);
});
