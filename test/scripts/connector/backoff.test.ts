import { expect, it } from "vitest";
import { backoffMs } from "../../../scripts/connector/backoff.ts";

const ALMOST_ONE = 1 - Number.EPSILON;

it("the back-off waits between zero and a maximum that doubles from half a second to thirty seconds", () => {
  const ceilings = Array.from({ length: 9 }, (_, failures) => Math.round(backoffMs(failures, () => ALMOST_ONE)));
  expect(ceilings).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(backoffMs(6, () => 0)).toBe(0);
  expect(backoffMs(6, () => 0.5)).toBe(15_000);
});

it("the back-off keeps its maximum after years of failures", () => {
  expect(backoffMs(1_000_000, () => 0.5)).toBe(15_000);
});
