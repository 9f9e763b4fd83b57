import * as z from "zod/mini";
import { LOG_AGE_MS, LOG_ROWS } from "./limits.ts";

export const DAY_MS = 24 * 60 * 60_000;

/** Fewer events would be gone before a client that polls once a day has read them. */
const MIN_EVENTS = 1_000;

/** A year. Trimming by age reads the whole log, whose size `LOG_ROWS` limits, so more days cost nothing else. */
const MAX_DAYS = 365;

/** For how long, and how many of, a person's events are kept. */
export const Retention = z.object({
  days: z.int().check(z.minimum(1), z.maximum(MAX_DAYS)),
  events: z.int().check(z.minimum(MIN_EVENTS), z.maximum(LOG_ROWS)),
});
export type Retention = z.infer<typeof Retention>;

/** What a choice means for the events that are stored now. */
export type RetentionEffect = { readonly stored: number; readonly deletes: number };

/** Days and events as numbers, for forms. */
export const RETENTION_LIMITS = { minDays: 1, maxDays: MAX_DAYS, minEvents: MIN_EVENTS, maxEvents: LOG_ROWS } as const;

/** What a request must be, for its error. */
export const RETENTION_RULE = `Send { days, events }: whole numbers, days from 1 to ${MAX_DAYS}, events from ${MIN_EVENTS} to ${LOG_ROWS}.`;

const DEFAULT: Retention = { days: LOG_AGE_MS / DAY_MS, events: LOG_ROWS };

/**
 * A person's choice, in the table `retention`, which has one row when they have made one. Without it the defaults apply, also when they
 * change in a later version.
 */
export class RetentionSetting {
  readonly #sql: SqlStorage;
  #now: Retention;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS retention (single INTEGER PRIMARY KEY CHECK (single = 1), days INTEGER NOT NULL, events INTEGER NOT NULL)",
    );
    const [chosen] = sql.exec<Retention>("SELECT days, events FROM retention").toArray();
    this.#now = chosen ?? DEFAULT;
  }

  get current(): Retention {
    return this.#now;
  }

  /** The oldest that an event may be. Milliseconds. */
  get ageMs(): number {
    return this.#now.days * DAY_MS;
  }

  set(chosen: Retention): void {
    this.#sql.exec("INSERT OR REPLACE INTO retention VALUES (1, ?, ?)", chosen.days, chosen.events);
    this.#now = chosen;
  }
}
