import { expect, it } from "vitest";
import { Random } from "../../../scripts/system/random.ts";

const draws = (random: Random): number[] => Array.from({ length: 1_000 }, () => random.integer(1, 6));

it("gives the same numbers for the same seed and stream, and others for another", () => {
  expect(draws(new Random(7, "faults"))).toEqual(draws(new Random(7, "faults")));
  expect(draws(new Random(7, "faults"))).not.toEqual(draws(new Random(8, "faults")));
  expect(draws(new Random(7, "faults"))).not.toEqual(draws(new Random(7, "calls")));
});

it("gives every value of a range, and none beyond it", () => {
  expect(new Set(draws(new Random(1)))).toEqual(new Set([1, 2, 3, 4, 5, 6]));
});
