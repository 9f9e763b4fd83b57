import * as z from "zod/mini";

const DAY_MINUTES = 24 * 60;
const MINUTE_MS = 60_000;

/**
 * A time of day in which a browser shows no notifications: minutes after midnight in its own time zone. `from` after `until` goes over
 * midnight.
 */
export const QuietHours = z.object({
  from: z.int().check(z.gte(0), z.lt(DAY_MINUTES)),
  until: z.int().check(z.gte(0), z.lt(DAY_MINUTES)),
});
export type QuietHours = z.infer<typeof QuietHours>;

/** When the quiet hours that are now end, or `null` if they are not now. Off by an hour once, if the clocks change in between. */
export function quietUntil({ from, until }: QuietHours, zone: string, nowMs: number): number | null {
  const now = minuteOfDay(zone, nowMs);
  const length = (until - from + DAY_MINUTES) % DAY_MINUTES;
  const passed = (now - from + DAY_MINUTES) % DAY_MINUTES;
  if (passed >= length) return null;
  return nowMs - (nowMs % MINUTE_MS) + (length - passed) * MINUTE_MS;
}

/** Whether it is the name of a time zone, such as `Europe/Berlin`. Browsers tell it. */
export function isTimeZone(zone: string): boolean {
  try {
    minuteOfDay(zone, 0);
    return true;
  } catch {
    return false; // RangeError: Intl knows no such zone
  }
}

function minuteOfDay(zone: string, ms: number): number {
  const format = new Intl.DateTimeFormat("en-GB", {
    timeZone: zone,
    hour: "2-digit",
    minute: "2-digit",
    hourCycle: "h23",
  });
  const parts = format.formatToParts(ms);
  const number = (type: "hour" | "minute"): number => Number(parts.find((part) => part.type === type)?.value ?? 0);
  return number("hour") * 60 + number("minute");
}
