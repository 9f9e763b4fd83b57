/** What a person who asks for no time wants to know: about a month. */
export const DEFAULT_COST_DAYS = 30;

/** A machine lists at most a thousand rows, one for each day, project and model. A year of them seldom fits, and more never does. */
export const MAX_COST_DAYS = 366;

/** A number of days, or `null` if the text is none. */
export function daysIn(text: string): number | null {
  const days = /^[1-9]\d{0,3}$/.test(text) ? Number(text) : null;
  return days === null || days > MAX_COST_DAYS ? null : days;
}
