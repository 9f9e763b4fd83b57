import { PAUSE_MS } from "./password-cost.ts";

/** Checks of strangers' passwords that wait at once. They take a minute; whoever comes then is asked to try again later. */
const MAX_WAITING = 100;

/** Those who wait, by their address. The address that is first has the next turn. */
type Queues = Map<string, (() => void)[]>;

/**
 * Has one password checked at a time, with a pause after each. A check keeps the thread busy on which, on an Operator of one's own, all calls
 * are answered: a hundred at once, which anybody may send, would hold up everybody's calls for half a minute.
 *
 * Where a person has signed in before, and where they are signed in, they do not wait for strangers. Addresses of strangers take turns, so that
 * one with many attempts holds up nobody else.
 */
export class PasswordTurns {
  readonly #known: Queues = new Map();
  readonly #strangers: Queues = new Map();
  #strangersWaiting = 0;
  #isBusy = false;

  /** Runs the check of somebody at an address from which they have signed in before, or who has proved something else. */
  known<Result>(check: () => Promise<Result>, address: string): Promise<Result> {
    return this.#inTurn(check, this.#known, address);
  }

  /** Runs the check of somebody else. Answers `null` if too many of them wait. */
  async stranger<Result>(check: () => Promise<Result>, address: string): Promise<Result | null> {
    if (this.#strangersWaiting >= MAX_WAITING) return null;
    this.#strangersWaiting += 1;
    const begun = (): Promise<Result> => {
      this.#strangersWaiting -= 1;
      return check();
    };
    return this.#inTurn(begun, this.#strangers, address);
  }

  async #inTurn<Result>(check: () => Promise<Result>, queues: Queues, address: string): Promise<Result> {
    const { promise, resolve } = Promise.withResolvers<void>();
    const queue = queues.get(address) ?? [];
    queue.push(resolve);
    queues.set(address, queue);
    this.#next();
    await promise;
    try {
      return await check();
    } finally {
      setTimeout(() => {
        this.#isBusy = false;
        this.#next();
      }, PAUSE_MS);
    }
  }

  #next(): void {
    if (this.#isBusy) return;
    const start = nextOf(this.#known) ?? nextOf(this.#strangers);
    if (start === null) return;
    this.#isBusy = true;
    start();
  }
}

/** Takes the first of the first address, which goes to the end. */
function nextOf(queues: Queues): (() => void) | null {
  const [first] = queues;
  if (first === undefined) return null;
  const [address, queue] = first;
  const start = queue.shift() ?? null; // no queue is empty
  queues.delete(address);
  if (queue.length > 0) queues.set(address, queue);
  return start;
}
