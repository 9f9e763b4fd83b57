/** Up to this size an answer is not counted: a thousand of them, all that a person's clients have open at once, take 64 MB. Bytes. */
export const SMALL_BYTES = 64 * 1024;

const MB = 1024 * 1024;

export type LargeAnswerLimits = {
  /** Bytes of the answers of one machine, of all of a person's, and of all that are held at once. */
  readonly perMachine: number;
  readonly perUser: number;
  readonly total: number;
  /** How long an answer waits for room. */
  readonly waitMs: number;
};

/**
 * What machines can make this isolate hold with large answers (mcp/bounded-answer.ts), each of which takes five times its size for a moment. The
 * largest is 8 MB, and while an answer of unknown length is read it takes the place of the largest.
 *
 * - One of a machine, three of a person: whoever hangs in the middle holds up the large answers of the same machine, and not those of the others.
 * - Six together, as much as large calls may take.
 * - A further one waits with its first 64 KB, which stops its sender. An honest one is passed on within a second.
 */
const LIMITS: LargeAnswerLimits = { perMachine: 8 * MB, perUser: 24 * MB, total: 48 * MB, waitMs: 30_000 };

/** An answer that waits for room. */
type Waiting = { readonly keys: readonly string[]; readonly bytes: number; readonly enter: () => void };

/** Large answers of machines in this isolate's memory. */
export class LargeAnswers {
  readonly #limits: LargeAnswerLimits;
  readonly #bytes = new Map<string, number>();
  readonly #waiting = new Set<Waiting>();
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
    return new HeldAnswers(this, user);
  }

  /** Counts an answer as soon as there is room, and then calls `enter`. Those of one machine come in turn. Answers how to stop waiting. */
  take(user: string, machine: string, bytes: number, enter: () => void): () => void {
    const waiting = { keys: keysOf(user, machine), bytes, enter };
    this.#waiting.add(waiting);
    this.#admit();
    return () => this.#waiting.delete(waiting);
  }

  /** Counts this many bytes less. */
  give(user: string, machine: string, bytes: number): void {
    this.#count(keysOf(user, machine), -bytes);
    this.#admit();
  }

  get waitMs(): number {
    return this.#limits.waitMs;
  }

  #admit(): void {
    const behind = new Set<string>();
    for (const waiting of this.#waiting) {
      const { keys, bytes, enter } = waiting;
      const [machine = ""] = keys;
      if (behind.has(machine) || !this.#hasRoom(keys, bytes)) {
        behind.add(machine);
        continue;
      }
      this.#waiting.delete(waiting);
      this.#count(keys, bytes);
      enter();
    }
  }

  #hasRoom([machine = "", user = ""]: readonly string[], bytes: number): boolean {
    const { perMachine, perUser, total } = this.#limits;
    const [ofMachine, ofUser] = [this.#bytes.get(machine) ?? 0, this.#bytes.get(user) ?? 0];
    return ofMachine + bytes <= perMachine && ofUser + bytes <= perUser && this.#total + bytes <= total;
  }

  #count(keys: readonly string[], bytes: number): void {
    this.#total += bytes;
    for (const key of keys) {
      const now = (this.#bytes.get(key) ?? 0) + bytes;
      if (now > 0) this.#bytes.set(key, now);
      else this.#bytes.delete(key);
    }
  }
}

/** What an answer is counted under: its machine and its person. */
function keysOf(user: string, machine: string): readonly string[] {
  return [`${user} ${machine}`, user];
}

/** One answer, and what is counted for it. */
export type Held = { readonly machine: string; bytes: number };

/** The answers that one request holds. */
export class HeldAnswers {
  readonly #answers: LargeAnswers;
  readonly #user: string;
  readonly #held = new Set<Held>();
  /** What ends each wait for room. */
  readonly #waits = new Set<() => void>();
  #isReleased = false;

  constructor(answers: LargeAnswers, user: string) {
    this.#answers = answers;
    this.#user = user;
  }

  /** Whether anything is counted. */
  get hasAny(): boolean {
    return this.#held.size > 0;
  }

  /** Counts an answer, and waits until there is room for it. Answers `null` if there was none in time, or nobody waits for it any more. */
  async add(machine: string, bytes: number): Promise<Held | null> {
    if (this.#isReleased) return null;
    const held: Held = { machine, bytes };
    const { promise, resolve } = Promise.withResolvers<Held | null>();
    // Another request makes room, and this one may be gone before it can go on. So what it got is known from that moment.
    const stop = this.#answers.take(this.#user, machine, bytes, () => {
      this.#held.add(held);
      resolve(held);
    });
    const over = (): void => {
      stop();
      resolve(null);
    };
    const timer = setTimeout(over, this.#answers.waitMs);
    this.#waits.add(over);
    try {
      return await promise;
    } finally {
      clearTimeout(timer);
      this.#waits.delete(over);
    }
  }

  /** An answer has turned out to be no larger than this. */
  shrink(held: Held, bytes: number): void {
    if (!this.#held.has(held) || bytes >= held.bytes) return;
    const rest = held.bytes - bytes;
    held.bytes = bytes;
    this.#answers.give(this.#user, held.machine, rest);
  }

  /** One answer is not held any more. */
  drop(held: Held): void {
    if (this.#held.delete(held)) this.#answers.give(this.#user, held.machine, held.bytes);
  }

  /** Nothing is held any more, and nothing waits. Can be repeated. */
  release(): void {
    this.#isReleased = true;
    for (const end of this.#waits) end();
    for (const held of this.#held) this.drop(held);
  }
}

/** Those of this isolate. */
export const largeAnswers = new LargeAnswers();
