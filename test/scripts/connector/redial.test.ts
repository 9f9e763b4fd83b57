import { describe, expect, it } from "vitest";
import { Redial } from "../../../scripts/connector/redial.ts";
import { seeded } from "../../../scripts/system/random.ts";

const FAILED = { onlineForMs: null, wasPlanned: false };
const LONG_LINK = { onlineForMs: 60_000, wasPlanned: false };

/** A machine whose Operator is away from `0` to `outageMs`: when it dials, up to the first dial that succeeds. */
function dials(outageMs: number, random: () => number): number[] {
  const redial = new Redial(-60_000, random);
  const atMs = [redial.waitMs(LONG_LINK, 0)];
  for (let last = atMs[0] ?? 0; last < outageMs; last = atMs.at(-1) ?? 0) atMs.push(last + redial.waitMs(FAILED, last));
  return atMs;
}

describe("after an outage", () => {
  it("of 20 s, 200 machines are back within 2 s of its end, spread over that time", () => {
    const lateMs = Array.from({ length: 200 }, (_, seed) => (dials(20_000, seeded(seed)).at(-1) ?? 0) - 20_000);
    expect(Math.max(...lateMs)).toBeLessThan(2_000);
    const halves = [lateMs.filter((ms) => ms < 700).length, lateMs.filter((ms) => ms >= 700).length];
    expect(Math.min(...halves)).toBeGreaterThan(40);
  });

  it("of 5 minutes, a machine is away for 5 % longer at most", () => {
    const lateMs = Array.from({ length: 200 }, (_, seed) => (dials(300_000, seeded(seed)).at(-1) ?? 0) - 300_000);
    expect(Math.max(...lateMs)).toBeLessThan(15_000);
  });

  it("of any length, the next dial comes within 30 s", () => {
    const all = dials(24 * 60 * 60_000, () => 1 - Number.EPSILON);
    const gaps = all.slice(1).map((atMs, index) => atMs - (all[index] ?? 0));
    expect(Math.max(...gaps)).toBeLessThanOrEqual(30_000);
    expect(Math.max(...gaps)).toBeGreaterThan(29_000);
  });
});

it("a connector dials rarely: some 150 times in an outage of ten minutes, four times a minute later", () => {
  const averages = (ms: number): number =>
    Array.from({ length: 50 }, (_, seed) => dials(ms, seeded(seed)).length).reduce((sum, one) => sum + one, 0) / 50;
  const ten = averages(10 * 60_000);
  expect(ten).toBeLessThan(200);
  expect(averages(70 * 60_000) - ten).toBeLessThan(60 * 5);
});

it("the back-off starts again after each welcomed link", () => {
  const redial = new Redial(0, () => 0.5);
  for (let nowMs = 0; nowMs < 600_000; nowMs += 1_000) redial.waitMs(FAILED, nowMs);
  expect(redial.waitMs(FAILED, 600_000)).toBe(15_000);
  expect(redial.waitMs({ onlineForMs: 1, wasPlanned: false }, 600_000)).toBe(250);
  expect(redial.waitMs(FAILED, 600_250)).toBe(500);
});

it("dials after an announced restart are spread over one second", () => {
  const redial = new Redial(0, () => 0.9);
  expect(redial.waitMs({ onlineForMs: 60_000, wasPlanned: true }, 1)).toBe(900);
});

it("the back-off slows down for a script that ends each link early, but not for the first five", () => {
  const redial = new Redial(0, () => 1);
  const waits = Array.from({ length: 13 }, (_, at) => redial.waitMs({ onlineForMs: 10, wasPlanned: false }, at));
  expect(waits).toEqual([500, 500, 500, 500, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(redial.waitMs(LONG_LINK, 100_000)).toBe(500);
});
