import { RECONNECT_MAX_MS, RECONNECT_MIN_MS } from "#protocol/limits.ts";
import { backoffMs } from "./backoff.ts";

/**
 * The wait between two dials is at most this share of the outage so far. A machine is thus away for at most 5 % longer than
 * its Operator was, and an outage of t seconds costs some 40 dials and then 40 more each time t grows by a factor of e:
 * about 150 in the first ten minutes, four a minute from then on. An Operator that is up pays nothing for it,
 * since a connector that is connected does not dial.
 */
const OUTAGE_SHARE = 1 / 20;

/**
 * The least that ceiling comes down to in an outage. With it every connector is back within 2 s (and the dial itself) of the
 * end of an outage of up to 40 s, which is what a restart or an update takes; a thousand of them come at 500 a second.
 */
const OUTAGE_FLOOR_MS = 2_000;

/** After a restart that was announced all connectors dial again within this time, spread evenly over it. */
const PLANNED_SPREAD_MS = 1_000;

/** A link that lived for so long was a good one. */
const STABLE_MS = 5_000;

/**
 * So many links in a row may end young without consequence: a restart of Operator may well drop a link two or three times.
 * Beyond that a script crashes at each welcome, and is dialled ever more slowly, up to `RECONNECT_MAX_MS`.
 */
const YOUNG_LINKS = 5;

/** How one dial ended. `wasPlanned`: its script said that it is restarting. */
export type DialEnd = { readonly onlineForMs: number | null; readonly wasPlanned: boolean };

/** When to dial again. Knows no clock and does not wait: time comes in, waits go out. */
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

  /** How long to wait after this end of a dial. */
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

  /** What was learnt of the outage so far is worth nothing: a link was welcomed, or this computer slept. */
  restart(nowMs: number): void {
    this.#outageSinceMs = nowMs;
    this.#failures = 0;
  }
}
