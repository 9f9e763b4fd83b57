import type { LogPosition } from "#protocol/event.ts";

/** Concurrent waits of one user. A client has one or two; beyond this limit the oldest is answered early. */
const MAX_WAITING = 1_000;

type Waiter = { wants: (name: string) => boolean; wake: () => void };

/** Wakes callers that wait for something to happen on a user's machines. Held in memory only, because a wait ends with its request. */
export class News {
  readonly #waiters = new Set<Waiter>();

  /** Settles when one of the wanted machines has news, or after `timeoutMs`. */
  async wait(wants: (name: string) => boolean, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter = { wants, wake: resolve };
    if (this.#waiters.size >= MAX_WAITING) this.#waiters.values().next().value?.wake();
    this.#waiters.add(waiter);
    const timer = setTimeout(resolve, timeoutMs);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  announce(name: string): void {
    for (const waiter of this.#waiters) if (waiter.wants(name)) waiter.wake();
  }
}

/** Whether a log whose newest event is at `newest` has events after `known`. */
export function isNewer(newest: LogPosition | null, known: LogPosition | undefined): boolean {
  if (newest === null) return false;
  return known === undefined || known.epoch !== newest.epoch || known.seq < newest.seq;
}
