/**
 * Concurrent waits of one user that are told of news. A client has one or two. Beyond this limit the oldest sleeps until its time is up. It is not
 * woken early: callers wait again at once, which would wake the next one, and so on without end.
 */
export const MAX_WAITING = 1_000;

type Waiter<News> = { readonly wants: (news: News) => boolean; readonly wake: () => void };

/** Wakes callers that wait for something to happen. Held in memory only, because a wait ends with its request. */
export class Waiters<News> {
  readonly #waiters = new Set<Waiter<News>>();

  /** Settles with the first news that the caller wants, or after `timeoutMs`. */
  async wait(wants: (news: News) => boolean, timeoutMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const waiter: Waiter<News> = { wants, wake: resolve };
    if (this.#waiters.size >= MAX_WAITING) {
      const [oldest] = this.#waiters;
      if (oldest !== undefined) this.#waiters.delete(oldest);
    }
    this.#waiters.add(waiter);
    const timer = setTimeout(resolve, timeoutMs);
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
