import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from "#protocol/limits.ts";
import { backoffMs } from "./backoff.ts";

/**
 * The longest wait between two dials, as a share of the outage so far. So a machine is away for at most 5 % longer than its
 * Operator. An outage costs about 40 dials, and 40 more each time it has lasted e times as long: some 150 in the first ten
 * minutes, and four a minute after that. It costs an Operator nothing while it is up, because connected connectors do not dial.
 */
const OUTAGE_SHARE = 1 / 20;

/**
 * The lowest value of that ceiling. It brings every connector back within 2 s (plus the dial itself) after an outage of up to
 * 40 s, which is how long a restart or an update takes. A thousand connectors then arrive at 500 a second.
 */
const OUTAGE_FLOOR_MS = 2_000;

/** After an announced restart all connectors dial again within this time, evenly spread. */
const PLANNED_SPREAD_MS = 1_000;

/** A link that lasted this long counts as a success. */
const STABLE_MS = 5_000;

/**
 * This many links in a row may end early without consequence, because a restart of Operator may drop a link two or three times.
 * With more, the script probably crashes at each welcome, and is dialled more and more slowly, up to `RECONNECT_MAX_MS`.
 */
const YOUNG_LINKS = 5;

/** How one dial ended. `wasPlanned`: the script announced that it is restarting. */
export type DialEnd = { readonly onlineForMs: number | null; readonly wasPlanned: boolean };

/** Decides when to dial again. It has no clock and does not wait: callers pass in the time and get the wait. */
export class Redial {
  readonly #random: () => number;
  #outageSinceMs: number;
  #failures = 0;
  #youngLinks = 0;

  /** @param random in [0, 1) */
  constructor(nowMs: number, random: () => number) {
    this.#outageSinceMs = nowMs;
    this.#random = random;
  }

  /** How long to wait after a dial that ended like this. */
  waitMs({ onlineForMs, wasPlanned }: DialEnd, nowMs: number): number {
    if (onlineForMs === null) {
      this.#failures += 1;
      const ceilingMs = Math.max(OUTAGE_FLOOR_MS, (nowMs - this.#outageSinceMs) * OUTAGE_SHARE);
      return backoffMs(this.#failures, this.#random, Math.min(ceilingMs, RECONNECT_MAX_MS));
    }
    this.restart(nowMs);
    this.#youngLinks = onlineForMs >= STABLE_MS ? 0 : this.#youngLinks + 1;
    if (this.#youngLinks > YOUNG_LINKS) return backoffMs(this.#youngLinks - YOUNG_LINKS, this.#random);
    return this.#random() * (wasPlanned ? PLANNED_SPREAD_MS : RECONNECT_MIN_MS);
  }

  /** Forgets the outage so far, because a link was welcomed or the computer was asleep. */
  restart(nowMs: number): void {
    this.#outageSinceMs = nowMs;
    this.#failures = 0;
  }
}
