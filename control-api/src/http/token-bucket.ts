/** A rate limit: `perSecond` in the long run, and up to `burst` at once after a quiet time. */
export type Rate = { readonly perSecond: number; readonly burst: number };

/** A token bucket. It costs two numbers of memory and no timer: what has flowed in is computed when somebody takes. */
export class TokenBucket {
  readonly #rate: Rate;
  #left: number;
  #atMs: number;

  constructor(rate: Rate, nowMs: number) {
    this.#rate = rate;
    this.#left = rate.burst;
    this.#atMs = nowMs;
  }

  /** Takes one. Answers 0 if there was one, otherwise the milliseconds until there is. */
  take(nowMs: number): number {
    // A clock that was set back refills nothing, and takes nothing away.
    const passedMs = Math.max(0, nowMs - this.#atMs);
    this.#atMs = nowMs;
    this.#left = Math.min(this.#rate.burst, this.#left + (passedMs * this.#rate.perSecond) / 1_000);
    if (this.#left < 1) return Math.ceil(((1 - this.#left) * 1_000) / this.#rate.perSecond);
    this.#left -= 1;
    return 0;
  }

  /** Returns one that was taken, because what it was taken for turned out not to count. */
  giveBack(): void {
    this.#left = Math.min(this.#rate.burst, this.#left + 1);
  }
}

/** Buckets by key, at most `size` of them. The oldest is dropped for a new one, so that strangers cannot fill the memory. */
export class TokenBuckets {
  readonly #size: number;
  readonly #buckets = new Map<string, TokenBucket>();

  constructor(size: number) {
    this.#size = size;
  }

  of(key: string, rate: Rate, nowMs: number): TokenBucket {
    const known = this.#buckets.get(key);
    if (known !== undefined) return known;
    keepWithin(this.#buckets, this.#size);
    const bucket = new TokenBucket(rate, nowMs);
    this.#buckets.set(key, bucket);
    return bucket;
  }
}

/** Makes room for one more entry in a map of at most `size`: drops the one that was added first. */
export function keepWithin(map: Map<string, unknown>, size: number): void {
  if (map.size < size) return;
  const [oldest] = map.keys();
  if (oldest !== undefined) map.delete(oldest);
}
