import { TokenBucket, type Rate } from "#protocol/token-bucket.ts";
import { DROPPED_TYPE, type PushedEvent } from "#protocol/event.ts";
import { CONNECTOR_EVENT_RATE } from "#protocol/limits.ts";
import { systemClock, type Clock } from "./clock.ts";

/** How long dropped events are counted before one marker reports them. Milliseconds. */
const MARK_AFTER_MS = 1_000;

export type ThrottleOptions = { readonly clock?: Clock; readonly rate?: Rate };

/**
 * Limits an event storm at its source. Events beyond the rate are dropped, and one `events.dropped` event per second says how many
 * were, so that readers know about the gap.
 */
export class EventThrottle {
  readonly #clock: Clock;
  readonly #budget: TokenBucket;
  readonly #push: (events: readonly PushedEvent[], cursor: string | null) => void;
  #dropped = 0;
  #stopMark: (() => void) | null = null;

  constructor(
    push: (events: readonly PushedEvent[], cursor: string | null) => void,
    { clock = systemClock, rate = CONNECTOR_EVENT_RATE }: ThrottleOptions = {},
  ) {
    this.#push = push;
    this.#clock = clock;
    this.#budget = new TokenBucket(rate, clock.nowMs());
  }

  /**
   * Passes on as many events as the rate allows, in order. The cursor is always passed on, so dropped events are not fetched
   * again.
   */
  push(events: readonly PushedEvent[], cursor: string | null): void {
    const taken = this.#budget.takeUpTo(events.length, this.#clock.nowMs());
    this.#dropped += events.length - taken;
    this.#push(taken === events.length ? events : events.slice(0, taken), cursor);
    if (this.#dropped > 0) this.#stopMark ??= this.#clock.after(MARK_AFTER_MS, () => this.#mark());
  }

  /** Reports dropped events that have not been reported yet. */
  stop(): void {
    this.#stopMark?.();
    if (this.#dropped > 0) this.#mark();
  }

  #mark(): void {
    const count = this.#dropped;
    this.#dropped = 0;
    this.#stopMark = null;
    this.#push([{ atMs: this.#clock.nowMs(), type: DROPPED_TYPE, session: null, data: { count } }], null);
  }
}
