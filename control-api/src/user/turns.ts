/**
 * Runs changes one after the other if they have a name in common, and at the same time if they have none.
 *
 * A change of a machine awaits uploads between reading and writing the registry, and another change of the same machine could
 * interleave there. Changes of different machines share nothing. An upload takes seconds, so upgrading 1,000 machines in one queue
 * would take an hour.
 */
export class Turns {
  /** The end of the last change of each name. Changes never reject here: their callers get the errors. */
  readonly #last = new Map<string, Promise<unknown>>();

  /** Runs `change` when all earlier changes of these names have ended. */
  take<Result>(names: readonly string[], change: () => Promise<Result>): Promise<Result> {
    const earlier = names.flatMap((name) => this.#last.get(name) ?? []);
    // The places in all the queues are taken at once, without waiting in between, so two changes cannot wait for each other.
    const turn = Promise.all(earlier).then(change);
    const ended = turn.catch(() => undefined);
    for (const name of names) this.#last.set(name, ended);
    void ended.finally(() => {
      for (const name of names) if (this.#last.get(name) === ended) this.#last.delete(name);
    });
    return turn;
  }

  /** Settles when all changes that were under way have ended. */
  async settled(): Promise<void> {
    await Promise.all(this.#last.values());
  }
}
