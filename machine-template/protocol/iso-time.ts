/** The largest time that a `Date` can hold, in milliseconds before or since 1970 (ECMA-262, "Time Values"). */
const LARGEST_MS = 8.64e15;

/** A time as ISO 8601. A number that is no time is printed as a number: others sent it, and `Date` would throw. */
export function isoTime(ms: number): string {
  return Math.abs(ms) <= LARGEST_MS ? new Date(ms).toISOString() : String(ms);
}

/** The day of a time. */
export function isoDay(ms: number): string {
  return isoTime(ms).split("T")[0] ?? "";
}
