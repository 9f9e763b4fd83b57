import { expect, it } from "vitest";
import { ScriptWatch } from "../../../control-api/src/machines/script-watch.ts";

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Watches a script that answers like this, look by look; the last answer is given from then on. */
function watch(answers: boolean[]): {
  watch: ScriptWatch;
  looks: () => number;
  frozen: Promise<void>;
  isFrozen: () => boolean;
} {
  let looks = 0;
  let isFrozen = false;
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): Promise<boolean> => Promise.resolve(answers[Math.min(looks++, answers.length - 1)] ?? false);
  const made = new ScriptWatch(
    look,
    () => {
      isFrozen = true;
      resolve();
    },
    5,
  );
  return { watch: made, looks: () => looks, frozen: promise, isFrozen: () => isFrozen };
}

it("the watch reports a script that leaves two checks in a row unanswered", async () => {
  const { frozen, looks } = watch([false]);
  await frozen;
  expect(looks()).toBe(2);
});

it("the watch treats one unanswered check as a busy moment and continues checking", async () => {
  const one = watch([false, true, false, true, false, false]);
  await one.frozen;
  expect(one.looks()).toBe(6);
});

it("the watch accepts a script that answers its checks, however long the call takes", async () => {
  const one = watch([true]);
  while (one.looks() < 10) await sleep(5);
  expect(one.isFrozen()).toBe(false);
  one.watch.end();
});

it("the watch stops checking once the call is over", async () => {
  const one = watch([false]);
  one.watch.end();
  await sleep(50);
  expect([one.looks(), one.isFrozen()]).toEqual([0, false]);
});

it("the watch does not check while data arrives", async () => {
  const one = watch([false]);
  for (let heard = 0; heard < 20; heard += 1) {
    one.watch.heard();
    await sleep(0);
  }
  expect(one.isFrozen()).toBe(false);
  one.watch.end();
});
