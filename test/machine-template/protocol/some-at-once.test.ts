import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { someAtOnce } from "#protocol/some-at-once.ts";

test("no more are worked on at once than allowed, and the results are in the order of the items", async () => {
  let now = 0;
  let most = 0;
  const items = Array.from({ length: 20 }, (_, index) => index);
  const results = await someAtOnce(items, 3, async (item) => {
    now += 1;
    most = Math.max(most, now);
    for (let turns = (item * 7) % 5; turns >= 0; turns -= 1) await setImmediate();
    now -= 1;
    return item * 2;
  });
  expect(results).toEqual(items.map((item) => item * 2));
  expect(most).toBe(3);
});

test("a failure is the caller's, and nothing needs to be done for no item", async () => {
  await expect(someAtOnce([1, 2], 2, (item) => Promise.reject(new Error(`${item}`)))).rejects.toThrow("1");
  expect(await someAtOnce([], 2, () => Promise.resolve(1))).toEqual([]);
});
