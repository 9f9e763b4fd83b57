import { expect, test } from "vitest";
import { Follower, type Renamed } from "../../../control-api/src/user/follower.ts";

/** A follower that webhooks have asked to be told, and what they are told: `told` answers as the test wants. */
function following(told: (hasRevoked: boolean, renamed: readonly Renamed[]) => Promise<void>): {
  follower: Follower;
  done: () => Promise<unknown>;
} {
  const underWay: Promise<unknown>[] = [];
  const ctx = {
    storage: { kv: new Map([["followed", true]]) },
    waitUntil: (one: Promise<unknown>) => underWay.push(one),
  };
  const env = { WEBHOOKS: { getByName: () => ({ wake: told }) } };
  const follower = new Follower(ctx as unknown as DurableObjectState, env, () => "somebody");
  return { follower, done: () => Promise.all(underWay) };
}

const renamed = (from: string, to: string): Renamed => ({ from, to, identity: from });

test("news that come while webhooks are being told follow together, each of them and in their order", async () => {
  const heard: [boolean, string[]][] = [];
  const first = Promise.withResolvers<void>();
  const { follower, done } = following(async (hasRevoked, names) => {
    heard.push([hasRevoked, names.map(({ to }) => to)]);
    if (heard.length === 1) await first.promise;
  });
  follower.tell(false);
  follower.tell(true, [renamed("attic", "loft")]);
  follower.tell(false, [renamed("barn", "attic")]);
  first.resolve();
  await done();
  expect(heard).toEqual([
    [false, []],
    [true, ["loft", "attic"]],
  ]);
});

test("they are told again if they did not answer", async () => {
  const heard: string[][] = [];
  const { follower, done } = following(async (_, names) => {
    heard.push(names.map(({ to }) => to));
    if (heard.length === 1) throw new Error("it restarts");
  });
  follower.tell(true, [renamed("attic", "loft")]);
  await done();
  expect(heard).toEqual([["loft"], ["loft"]]);
});
