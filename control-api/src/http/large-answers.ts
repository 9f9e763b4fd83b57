/** Up to this size an answer is not counted: a thousand of them, all that a person's clients have open at once, take 64 MB. Bytes. */
export const SMALL_BYTES = 64 * 1024;

const MB = 1024 * 1024;

export type LargeAnswerLimits = {
  /** Bytes of the answers of one machine, of all of a person's, and of all that are held at once. */
  readonly perMachine: number;
  readonly perUser: number;
  readonly total: number;
  /** How long an answer waits for room, and how often it looks. */
  readonly waitMs: number;
  readonly lookMs: number;
};

/**
 * What machines can make this isolate hold with large answers (mcp/bounded-answer.ts), each of which takes five times its size for a moment. The
 * largest is 8 MB, and whose length is not known takes the place of the largest.
 *
 * - One of a machine, three of a person: whoever hangs in the middle holds up the large answers of the same machine, and not those of the others.
 * - Six together, as much as large calls may take.
 * - A further one waits with its first 64 KB, which stops its sender. An honest one is passed on within a second.
 */
const LIMITS: LargeAnswerLimits = {
  perMachine: 8 * MB,
  perUser: 24 * MB,
  total: 48 * MB,
  waitMs: 30_000,
  lookMs: 100,
};

/** Large answers of machines in this isolate's memory. */
export class LargeAnswers {
  readonly #limits: LargeAnswerLimits;
  readonly #bytes = new Map<string, number>();
  #total = 0;

  constructor(limits: LargeAnswerLimits = LIMITS) {
    this.#limits = limits;
  }

  /** Bytes that are counted now. */
  get counted(): number {
    return this.#total;
  }

  /** What one request holds of answers. Whoever asks for it must release it, also when the request's client leaves. */
  of(user: string): HeldAnswers {
    return new HeldAnswers(
      (machine, bytes) => this.#take(user, machine, bytes),
      (machine, bytes) => this.#give(user, machine, bytes),
      this.#limits,
    );
  }

  #take(user: string, machine: string, bytes: number): boolean {
    const { perMachine, perUser, total } = this.#limits;
    const [ofMachine, ofUser] = this.#keys(user, machine).map((key) => (this.#bytes.get(key) ?? 0) + bytes);
    if ((ofMachine ?? 0) > perMachine || (ofUser ?? 0) > perUser || this.#total + bytes > total) return false;
    this.#give(user, machine, -bytes);
    return true;
  }

  #give(user: string, machine: string, bytes: number): void {
    this.#total -= bytes;
    for (const key of this.#keys(user, machine)) {
      const left = (this.#bytes.get(key) ?? 0) - bytes;
      if (left > 0) this.#bytes.set(key, left);
      else this.#bytes.delete(key);
    }
  }

  #keys(user: string, machine: string): readonly string[] {
    return [`${user} ${machine}`, user];
  }
}

/** One answer, and what is counted for it. */
type Held = { readonly machine: string; readonly bytes: number };

/** The answers that one request holds. */
export class HeldAnswers {
  readonly #take: (machine: string, bytes: number) => boolean;
  readonly #give: (machine: string, bytes: number) => void;
  readonly #limits: LargeAnswerLimits;
  readonly #held = new Set<Held>();
  #isReleased = false;

  constructor(
    take: (machine: string, bytes: number) => boolean,
    give: (machine: string, bytes: number) => void,
    limits: LargeAnswerLimits,
  ) {
    this.#take = take;
    this.#give = give;
    this.#limits = limits;
  }

  /** Whether anything is counted. */
  get hasAny(): boolean {
    return this.#held.size > 0;
  }

  /** Counts an answer, and waits until there is room for it. Answers `null` if there was none in time. */
  async add(machine: string, bytes: number): Promise<Held | null> {
    const untilMs = Date.now() + this.#limits.waitMs;
    while (!this.#isReleased) {
      if (this.#take(machine, bytes)) {
        const held = { machine, bytes };
        this.#held.add(held);
        return held;
      }
      if (Date.now() >= untilMs) return null;
      await scheduler.wait(this.#limits.lookMs);
    }
    return null; // nobody waits for it any more
  }

  /** One answer is not held any more. */
  drop(held: Held): void {
    if (this.#held.delete(held)) this.#give(held.machine, held.bytes);
  }

  /** Nothing is held any more. Can be repeated. */
  release(): void {
    this.#isReleased = true;
    for (const held of this.#held) this.drop(held);
  }
}

/** Those of this isolate. */
export const largeAnswers = new LargeAnswers();
