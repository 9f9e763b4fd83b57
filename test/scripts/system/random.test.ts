import { expect, it } from "vitest";
import { Random } from "../../../scripts/system/random.ts";

const draws = (random: Random): number[] => Array.from({ length: 1_000 }, () => random.integer(1, 6));

it("the same seed and stream give the same numbers, and others give different ones", () => {
  expect(draws(new Random(7, "faults"))).toEqual(draws(new Random(7, "faults")));
  expect(draws(new Random(7, "faults"))).not.toEqual(draws(new Random(8, "faults")));
  expect(draws(new Random(7, "faults"))).not.toEqual(draws(new Random(7, "calls")));
});

it("the generator returns every value of a range, and none outside it", () => {
  expect(new Set(draws(new Random(1)))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
});
