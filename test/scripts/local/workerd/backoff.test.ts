import { expect, test } from "vitest";
import { Backoff } from "../../../../scripts/local/workerd/backoff.ts";

test("one crash causes no delay, a crash loop is slowed down, and a long run resets the delay", () => {
  const backoff = new Backoff();
  expect([0, 0, 0, 0].map((ran) => backoff.next(ran))).toEqual([0, 250, 500, 1000]);
  for (let crash = 0; crash < 50; crash += 1) backoff.next(0);
  expect(backoff.next(0)).toBe(15_000);
  expect(backoff.next(30_000)).toBe(0);
});
