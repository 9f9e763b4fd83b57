/**
 * The clock of a computer can be wrong: one without a battery starts in a year of its own, and is set right later. What was issued "in
 * the future" would then last until that year. So everything that is valid for a certain time is valid only within that time before its
 * end. A clock that is put right by less than this changes nothing, since clocks differ by minutes everywhere. Milliseconds.
 */
export const CLOCK_SKEW_MS = 5 * 60_000;

/** The latest end that something valid for `lifeMs` can have now. */
export function latestEnd(lifeMs: number, nowMs: number): number {
  return nowMs + lifeMs + CLOCK_SKEW_MS;
}

/** Until when something that was done at `sinceMs` counts, for `lifeMs`; 0 if it lies in the future. */
export function validUntil(sinceMs: number, lifeMs: number, nowMs: number): number {
  return sinceMs > nowMs + CLOCK_SKEW_MS ? 0 : sinceMs + lifeMs;
}
