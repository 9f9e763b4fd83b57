/**
 * Seeded pseudo-random numbers (mulberry32), so that a run can be repeated. Each user of a seed derives its own stream by
 * name, so that a change in how many numbers one part draws does not change the others.
 */
export class Random {
  #state: number;

  constructor(seed: number, stream = "") {
    let hash = seed >>> 0;
    for (const character of stream) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 0x9e_37_79_b1) >>> 0;
    this.#state = hash;
  }

  /** From 0 (included) to 1 (excluded). */
  next(): number {
    this.#state = (this.#state + 0x6d_2b_79_f5) >>> 0;
    let mixed = Math.imul(this.#state ^ (this.#state >>> 15), 1 | this.#state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  /** An integer from `low` to `high`, both included. */
  integer(low: number, high: number): number {
    return low + Math.floor(this.next() * (high - low + 1));
  }

  chance(share: number): boolean {
    return this.next() < share;
  }

  /** One of several; throws when there is none. */
  pick<Value>(values: readonly Value[]): Value {
    const value = values[Math.floor(this.next() * values.length)];
    if (value === undefined) throw new Error("nothing to pick from");
    return value;
  }
}

/** The numbers of a seed as a function, for what takes `Math.random`. */
export function seeded(seed: number): () => number {
  const random = new Random(seed);
  return () => random.next();
}
