import type { ClientAnswer } from "./form.ts";
import { MAX_WAITING_FORMS } from "./limits.ts";

/**
 * Forms that clients of 2025 have been sent and have not answered. Such a client answers with a request of its own, which may arrive in
 * another isolate than the call that asked. Both meet here, in the user's object. In memory only: when the object restarts, the calls
 * end without an answer, and what was asked waits in the inbox.
 */
export class Forms {
  readonly #waiting = new Map<string, (answer: ClientAnswer | null) => void>();

  /**
   * The answer to a form, or `null` if there is none in time.
   * @param key client, credential and a random id that only the client of the call was sent
   */
  async answerTo(key: string, timeoutMs: number): Promise<ClientAnswer | null> {
    const { promise, resolve } = Promise.withResolvers<ClientAnswer | null>();
    if (this.#waiting.size >= MAX_WAITING_FORMS) this.#waiting.values().next().value?.(null);
    this.#waiting.set(key, resolve);
    const timer = setTimeout(() => resolve(null), timeoutMs);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(key);
    }
  }

  /** Passes an answer on, or gives a form up (`null`). Answers `false` if no such form waits. */
  answer(key: string, answer: ClientAnswer | null): boolean {
    const resolve = this.#waiting.get(key);
    resolve?.(answer);
    this.#waiting.delete(key);
    return resolve !== undefined;
  }
}
