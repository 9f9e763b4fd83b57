import { describe, expect, test } from "vitest";
import { EventBudget } from "#protocol/event-budget.ts";

describe("a budget of events", () => {
  test("gives its burst at once, and then what the rate brings back", () => {
    const budget = new EventBudget({ perSecond: 10, burst: 5 }, 0);
    expect([budget.take(8, 0), budget.take(1, 0), budget.take(3, 250), budget.take(9, 60_000)]).toEqual([5, 0, 2, 5]);
  });

  test("keeps what is due between whole events, so that a slow trickle passes whole", () => {
    const budget = new EventBudget({ perSecond: 10, burst: 2 }, 0);
    let passed = 0;
    for (let ms = 0; ms < 10_000; ms += 30) passed += budget.take(1, ms);
    expect(passed).toBeGreaterThanOrEqual(100);
  });

  test("gives and takes nothing for a clock that was set back", () => {
    const budget = new EventBudget({ perSecond: 10, burst: 5 }, 1_000_000);
    expect([budget.take(3, 1_000_000), budget.take(9, 0), budget.take(1, 100)]).toEqual([3, 2, 1]);
  });
});
