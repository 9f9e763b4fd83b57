import { EventBudget, type EventRate } from "#protocol/event-budget.ts";
import { DROPPED_TYPE, type PushedEvent } from "#protocol/event.ts";
import { CONNECTOR_EVENT_RATE } from "#protocol/limits.ts";
import { systemClock, type Clock } from "./clock.ts";

/** How long what was dropped is counted before a marker tells of it. Milliseconds. */
const MARK_AFTER_MS = 1_000;

export type ThrottleOptions = { readonly clock?: Clock; readonly rate?: EventRate };

/**
 * Bounds an event storm where it begins. Events beyond the rate are dropped, and one `events.dropped` event a second says
 * how many, so that a reader knows of the gap.
 */
export class EventThrottle {
  readonly #clock: Clock;
  readonly #budget: EventBudget;
  readonly #push: (events: readonly PushedEvent[], cursor: string | null) => void;
  #dropped = 0;
  #stopMark: (() => void) | null = null;

  constructor(
    push: (events: readonly PushedEvent[], cursor: string | null) => void,
    { clock = systemClock, rate = CONNECTOR_EVENT_RATE }: ThrottleOptions = {},
  ) {
    this.#push = push;
    this.#clock = clock;
    this.#budget = new EventBudget(rate, clock.nowMs());
  }

  /** Passes on as many events as the rate allows, in their order. The cursor passes in any case: dropped events are not asked for again. */
  push(events: readonly PushedEvent[], cursor: string | null): void {
    const taken = this.#budget.take(events.length, this.#clock.nowMs());
    this.#dropped += events.length - taken;
    this.#push(taken === events.length ? events : events.slice(0, taken), cursor);
    if (this.#dropped > 0) this.#stopMark ??= this.#clock.after(MARK_AFTER_MS, () => this.#mark());
  }

  /** Tells of what was dropped and not yet told of. */
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
