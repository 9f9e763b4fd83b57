/**
 * Concurrent waits of one user that are told of news. A client has one or two. Beyond this limit the oldest sleeps until its time is up. It is not
 * woken early: callers wait again at once, which would wake the next one, and so on without end.
 */
export const MAX_WAITING = 1_000;

/**
 * How long a wait for a revocation sleeps that is beyond the limit. Its request then looks for itself whether it may go on, and waits again. So
 * access ends at most this late however many waits there are, of clients that have left as well. Milliseconds.
 */
export const CROWDED_MS = 5_000;

type Waiter<News> = {
  readonly wants: (news: News) => boolean;
  readonly wake: () => void;
  readonly sleep: () => void;
};

/**
 * Wakes callers that wait for something to happen. Held in memory only. A wait of a client that has left goes on until its time is up, because
 * nothing tells this object of it.
 */
export class Waiters<News> {
  readonly #waiters = new Set<Waiter<News>>();
  readonly #crowdedMs: number;

  /** @param crowdedMs the longest sleep of a wait beyond the limit, for callers who must not miss news for longer */
  constructor(crowdedMs: number = Number.POSITIVE_INFINITY) {
    this.#crowdedMs = crowdedMs;
  }

  /** Settles with the first news that the caller wants, or after `timeoutMs`. */
  async wait(wants: (news: News) => boolean, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const untilMs = Date.now() + timeoutMs;
    let timer = setTimeout(resolve, timeoutMs);
    const sleep = (): void => {
      clearTimeout(timer);
      timer = setTimeout(resolve, Math.max(0, Math.min(untilMs - Date.now(), this.#crowdedMs)));
    };
    const waiter: Waiter<News> = { wants, wake: resolve, sleep };
    if (this.#waiters.size >= MAX_WAITING) {
      const [oldest] = this.#waiters;
      if (oldest !== undefined) this.#waiters.delete(oldest);
      oldest?.sleep();
    }
    this.#waiters.add(waiter);
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      this.#waiters.delete(waiter);
    }
  }

  announce(news: News): void {
    for (const waiter of this.#waiters) if (waiter.wants(news)) waiter.wake();
  }
}
