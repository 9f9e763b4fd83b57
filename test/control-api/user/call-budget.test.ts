import { expect, test } from "vitest";
import { CallBudgets, type StoredBudget } from "../../../control-api/src/user/call-budget.ts";

const DAY_MS = 24 * 60 * 60_000;

/** Budgets whose database survives them: `again` is the object after a restart. */
function stored() {
  const rows = new Map<string, StoredBudget>();
  let writes = 0;
  const object = () => {
    const budgets = new CallBudgets((token, budget) => {
      rows.set(token, budget);
      writes += 1;
    });
    return (token: string, perDay: number, nowMs: number) =>
      budgets.take(token, perDay, rows.get(token) ?? { day: 0, reserved: 0 }, nowMs).afterMs;
  };
  return { object, writes: () => writes };
}

test("a token may make its calls of a day, and then has to wait until 00:00 UTC", () => {
  const take = stored().object();
  const noon = 10 * DAY_MS + DAY_MS / 2;
  expect([noon, noon, noon].map((now) => take("t", 2, now))).toEqual([0, 0, DAY_MS / 2]);
  expect(take("other", 2, noon)).toBe(0);
  expect(take("t", 2, 11 * DAY_MS)).toBe(0);
});

test.each([1, 2, 7, 99, 100, 101, 1_000])(
  "a budget of %i is never exceeded, however often the object restarts",
  (perDay) => {
    const { object } = stored();
    let made = 0;
    for (let restart = 0; restart < 40; restart += 1) {
      const take = object();
      for (let call = 0; call < 60; call += 1) if (take("t", perDay, DAY_MS) === 0) made += 1;
    }
    expect(made).toBeLessThanOrEqual(perDay);
    expect(made).toBeGreaterThanOrEqual(Math.min(perDay, 40 * 60) * 0.5);
  },
);

test("the counts of the last 2,000 tokens are in memory; of another one, all that was reserved counts as used", () => {
  const { object, writes } = stored();
  const take = object();
  for (const token of ["idle", "busy"]) take(token, 1_000, DAY_MS);
  for (let token = 0; token < 2_000; token += 1) take(`t-${token}`, 1, DAY_MS);
  const before = writes();
  expect(take("t-0", 1, DAY_MS)).toBeGreaterThan(0);
  expect(writes()).toBe(before);
  expect(take("idle", 1_000, DAY_MS)).toBe(0);
  expect(writes()).toBe(before + 1);
});

test("without a restart the whole budget can be used, with a hundred writes", () => {
  const { object, writes } = stored();
  const take = object();
  const made = Array.from({ length: 10_001 }, () => take("t", 10_000, DAY_MS)).filter((wait) => wait === 0);
  expect(made).toHaveLength(10_000);
  expect(writes()).toBe(100);
});
