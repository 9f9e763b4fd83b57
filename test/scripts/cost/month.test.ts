import { expect, test } from "vitest";
import counts from "../../../scripts/cost/counts.json" with { type: "json" };
import { monthOf } from "../../../scripts/cost/month.ts";
import { PLAN_PRICE } from "../../../scripts/cost/prices.ts";

const idle = { callsPerMachineAndDay: 0, secondsPerCall: 0 };

test("idle machines cost nothing above the plan, up to the number that it includes", () => {
  expect(monthOf({ machines: 10, ...idle }, counts).total).toBe(PLAN_PRICE);
  expect(monthOf({ machines: 100, ...idle }, counts).total).toBe(PLAN_PRICE);
  expect(monthOf({ machines: 1_000, ...idle }, counts).total).toBeLessThan(PLAN_PRICE + 0.1);
});

test("the sum shows a change that makes idle machines work every five seconds", () => {
  const busy = { ...counts, idleCheck: { ...counts.idleCheck, objectRequests: counts.idleCheck.objectRequests * 720 } };
  expect(monthOf({ machines: 1_000, ...idle }, busy).total).toBeGreaterThan(PLAN_PRICE + 100);
});

test("a million calls of one second stay within the plan, except for object requests", () => {
  const use = { machines: 100, callsPerMachineAndDay: 1_000_000 / 3_000, secondsPerCall: 1 };
  const { dollars } = monthOf(use, counts);
  const { requests, rowsWritten, rowsRead, duration, scripts, cpuMs } = dollars;
  expect({ requests, rowsWritten, rowsRead, duration, scripts, cpuMs }).toEqual({
    requests: 0,
    rowsWritten: 0,
    rowsRead: 0,
    duration: 0,
    scripts: 0,
    cpuMs: 0,
  });
  expect(dollars.objectRequests).toBeLessThan(0.35);
});

test("long calls cost duration, and machines above a thousand cost their scripts", () => {
  const long = monthOf({ machines: 100, callsPerMachineAndDay: 1_000_000 / 3_000, secondsPerCall: 30 }, counts);
  expect(long.dollars.duration).toBeCloseTo(43, 0);
  expect(monthOf({ machines: 1_100, ...idle }, counts).dollars.scripts).toBeCloseTo(2);
});

test("processor time costs money once it exceeds what the plan includes", () => {
  const use = { machines: 1_000, callsPerMachineAndDay: 1_000, secondsPerCall: 1 };
  const { units, dollars } = monthOf(use, { ...counts, call: { ...counts.call, cpuMs: 10 } });
  expect(units.cpuMs).toBe(300_000_000);
  expect(dollars.cpuMs).toBeCloseTo((300 - 60) * 0.02);
});
