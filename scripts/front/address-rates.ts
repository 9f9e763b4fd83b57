import { clientKeyOf } from "#protocol/client-key.ts";
import { keepWithin } from "#protocol/keep-within.ts";
import { type Rate, TokenBucket } from "#protocol/token-bucket.ts";
import { CANCELS, CONNECTS, MAX_RATED_ADDRESSES, REQUESTS } from "./limits.ts";

type Rates = { readonly connects: Rate; readonly requests: Rate; readonly cancels: Rate };

type Buckets = { readonly [kind in keyof Rates]: TokenBucket };

export type RateOptions = {
  readonly rates?: Rates;
  /** Callers from this computer have no rates: see `isThisComputer`. Tests come from there and set it to `false`. */
  readonly sparesThisComputer?: boolean;
  readonly maxAddresses?: number;
  readonly now?: () => number;
};

/**
 * Limits what an address does one after the other: connections, requests, and requests that it leaves unanswered. Limits of what it has open at
 * once do not see a client that opens, leaves and opens again.
 */
export class AddressRates {
  readonly #rates: Rates;
  readonly #sparesThisComputer: boolean;
  readonly #maxAddresses: number;
  readonly #now: () => number;
  readonly #addresses = new Map<string, Buckets>();

  constructor({
    rates = { connects: CONNECTS, requests: REQUESTS, cancels: CANCELS },
    sparesThisComputer = true,
    maxAddresses = MAX_RATED_ADDRESSES,
    now = Date.now,
  }: RateOptions = {}) {
    this.#rates = rates;
    this.#sparesThisComputer = sparesThisComputer;
    this.#maxAddresses = maxAddresses;
    this.#now = now;
  }

  /** Counts a new connection. Returns 0 if it may be used, otherwise the milliseconds until the next one may. */
  connect(address: string): number {
    return this.#of(address)?.connects.take(this.#now()) ?? 0;
  }

  /** Counts a request. Returns 0 if it may pass, otherwise the milliseconds until the next one may. */
  request(address: string): number {
    const buckets = this.#of(address);
    if (buckets === null) return 0;
    const nowMs = this.#now();
    // Whether there is room for another cancelled one, which is only counted when it happens.
    const afterCancelsMs = buckets.cancels.take(nowMs);
    if (afterCancelsMs > 0) return afterCancelsMs;
    buckets.cancels.giveBack();
    return buckets.requests.take(nowMs);
  }

  /** Counts a request whose client left before its answer was complete. */
  cancel(address: string): void {
    this.#of(address)?.cancels.take(this.#now());
  }

  #of(address: string): Buckets | null {
    if (this.#sparesThisComputer && isThisComputer(address)) return null;
    const key = clientKeyOf(address);
    const known = this.#addresses.get(key);
    if (known !== undefined) return known;
    keepWithin(this.#addresses, this.#maxAddresses);
    const nowMs = this.#now();
    const { connects, requests, cancels } = this.#rates;
    const buckets = {
      connects: new TokenBucket(connects, nowMs),
      requests: new TokenBucket(requests, nowMs),
      cancels: new TokenBucket(cancels, nowMs),
    };
    this.#addresses.set(key, buckets);
    return buckets;
  }
}

/**
 * Whether a caller is on this computer. Such a caller may be a proxy or a tunnel that Operator was not told of (`--behind-proxy`), so
 * many people may stand behind it. And a program here can use up the processors without our help.
 */
function isThisComputer(address: string): boolean {
  return address === "::1" || address.startsWith("127."); // no IPv6 address begins so
}
