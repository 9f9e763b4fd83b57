/**
 * How long calls wait for a connector whose link ended with the script. It dials again within half a second, and needs a TLS handshake
 * and a hello. Longer would only delay the news that the machine itself has gone.
 */
const RETURN_MS = 3_000;

/**
 * Cloudflare restarts Durable Objects at its own updates, a few times a week, and an upload restarts them, too. Links drop then, although
 * both the machine and its network are fine. The calls in progress are lost, but a call that comes a moment later need not fail: it
 * waits here until the connector has dialled again.
 */
export class Return {
  readonly #untilMs: number;
  readonly #waiting = new Set<() => void>();

  /** @param isAwaited the script has just started, and its record says that there was a link when it ended */
  constructor(isAwaited: boolean, nowMs: number) {
    this.#untilMs = isAwaited ? nowMs + RETURN_MS : 0;
  }

  /** Whether a call should wait at all. */
  isAwaited(nowMs: number): boolean {
    return this.#leftMs(nowMs) > 0;
  }

  /** Resolves when the connector is back, or when its time is over. */
  async wait(nowMs: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#leftMs(nowMs));
    this.#waiting.add(resolve);
    await promise;
    clearTimeout(timer);
    this.#waiting.delete(resolve);
  }

  /** There is a link again. */
  isBack(): void {
    for (const resolve of this.#waiting) resolve();
  }

  /** How long calls still wait. More than in the beginning is a clock that was set back: the wait is over. */
  #leftMs(nowMs: number): number {
    const leftMs = this.#untilMs - nowMs;
    return leftMs <= RETURN_MS ? leftMs : 0;
  }
}
