import { keepWithin } from "#protocol/keep-within.ts";
import { type Rate, TokenBucket } from "#protocol/token-bucket.ts";

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
