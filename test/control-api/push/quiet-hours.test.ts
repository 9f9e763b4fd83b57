import { describe, expect, test } from "vitest";
import { isTimeZone, quietUntil } from "../../../control-api/src/push/quiet-hours.ts";

const at = (time: string): number => Date.parse(`2026-07-01T${time}Z`);
const NIGHT = { from: 22 * 60, until: 7 * 60 };

describe("quiet hours", () => {
  test("go over midnight, in the browser's time zone, and say when they end", () => {
    // Berlin is two hours ahead of UTC in July.
    expect(quietUntil(NIGHT, "Europe/Berlin", at("19:59:59"))).toBeNull();
    expect(quietUntil(NIGHT, "Europe/Berlin", at("20:00:30"))).toBe(Date.parse("2026-07-02T05:00:00Z"));
    expect(quietUntil(NIGHT, "Europe/Berlin", at("04:59:59"))).toBe(at("05:00:00"));
    expect(quietUntil(NIGHT, "Europe/Berlin", at("05:00:00"))).toBeNull();
  });

  test("within a day end on that day, and of no length are never", () => {
    const lunch = { from: 12 * 60, until: 13 * 60 };
    expect(quietUntil(lunch, "UTC", at("12:30:00"))).toBe(at("13:00:00"));
    expect(quietUntil(lunch, "UTC", at("13:00:00"))).toBeNull();
    expect(quietUntil({ from: 60, until: 60 }, "UTC", at("01:00:00"))).toBeNull();
  });

  test("need a time zone that exists", () => {
    expect([isTimeZone("Asia/Kathmandu"), isTimeZone("UTC")]).toEqual([true, true]);
    expect([isTimeZone("Mars/Olympus"), isTimeZone(""), isTimeZone("../etc")]).toEqual([false, false, false]);
  });
});
