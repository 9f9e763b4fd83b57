import { Random } from "../../../system/random.ts";

/**
 * How unkind the platform is. A real start is kind; tests are not (`test/end-to-end/support/hostility.ts`), because Cloudflare is
 * not: each of these was read in its documentation or seen there, and nothing that works against a kind platform is known to
 * work against it.
 */
export type Hostility = {
  /** Everything below that happens by chance follows from this number, so that a run that failed can be repeated. */
  readonly seed: number;
  /**
   * An upload that replaces a script takes effect within this time. Until then the former code answers, with its former bindings
   * (Durable Objects, "Known issues": seconds to minutes). The first upload of a script takes effect at once.
   */
  readonly lateMs: number;
  /** The share of API requests that are answered with 429, and what they say about when to try again. */
  readonly busyShare: number;
  readonly retryAfterMs: number;
  /** The share of changes through the API that are carried out, and whose reply is lost. */
  readonly lostShare: number;
  /** The share of a script's starts that are followed by a restart within `restartMs`, in a moment without a call. */
  readonly restartShare: number;
  readonly restartMs: number;
  /** JavaScript heap of each Worker. */
  readonly heapMb: number;
  /** A connection on which nobody says anything for this long is cut, as Cloudflare's edge may do after 100 s. */
  readonly silenceMs: number;
  /** Whether clients that name no User-Agent are refused, as Browser Integrity Check does. */
  readonly refusesNameless: boolean;
};

/** As unkind as a test that waits for nothing can be. */
export const HOSTILE: Omit<Hostility, "seed"> = {
  lateMs: 800,
  busyShare: 0.1,
  retryAfterMs: 50,
  lostShare: 0.15,
  restartShare: 0.5,
  restartMs: 2_000,
  heapMb: 128,
  silenceMs: 100_000,
  refusesNameless: true,
};

/**
 * Decisions by chance. Each topic and name (such as restarts of one script) has its own stream of numbers: which of two scripts is
 * uploaded first depends on the computer's load, and must not change what happens to either.
 */
export class Chances {
  readonly #seed: number;
  readonly #streams = new Map<string, Random>();

  constructor(seed: number) {
    this.#seed = seed;
  }

  of(topic: string, name: string): Random {
    const key = `${topic} ${name}`;
    const known = this.#streams.get(key) ?? new Random(this.#seed, key);
    this.#streams.set(key, known);
    return known;
  }
}
