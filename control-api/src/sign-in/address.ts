import { clientKeyOf } from "#protocol/client-key.ts";
import type { Rate } from "#protocol/token-bucket.ts";
import type { Sender } from "../http/held-bodies.ts";
import type { Counted, Limit } from "./accounts/limits.ts";

export type ClientAddressBindings = {
  /**
   * "1": no trusted proxy sets `CF-Connecting-IP` (Operator runs for one computer only), so the header is ignored: a client
   * could write any address into it and get fresh rate limits with each. In a deployment Cloudflare overwrites the header; with
   * `--public-url` the TLS front does.
   */
  readonly NO_EDGE?: string;
};

/** The client's address is unknown: the request came over loopback, or through a proxy that does not report the address. */
export const UNKNOWN_ADDRESS = "unknown";

/** We assume that this many people share the unknown address, and raise its rate limits by this factor. */
const SHARED_BY = 10;

/**
 * The key under which rate limits count a client: its IPv4 address, its IPv6 /64, or `UNKNOWN_ADDRESS`. A whole /64 counts as
 * one client because providers give each customer at least that much: counted singly, one attacker has 2^64 addresses.
 */
export function addressOf(request: Request, { NO_EDGE: noEdge }: ClientAddressBindings): string {
  const address = noEdge === "1" ? null : request.headers.get("cf-connecting-ip");
  if (address === null || address === "") return UNKNOWN_ADDRESS;
  return clientKeyOf(address);
}

/** The limit that applies to one address. It is higher for the unknown address, so that one person's typos do not lock out others. */
export function limitAt(address: string, { times, windowMs }: Limit): Limit {
  return address === UNKNOWN_ADDRESS ? { times: times * SHARED_BY, windowMs } : { times, windowMs };
}

/** A wide network (`networksOf`) may use this many times the limit of one address. */
const WIDE_SHARE = 10;

/**
 * The keys under which one attempt from an address is counted, each with its limit: the address, and the wide network that it is
 * in. There is no limit for all addresses together, since anyone could use that up for everybody.
 */
export function countedUnder(name: string, address: string, limit: Limit): Counted[] {
  const [wide = address] = networksOf(address);
  const here: Counted = [`${name}:${address}`, limitAt(address, limit)];
  return wide === address ? [here] : [here, [`${name}:${wide}`, { ...limit, times: limit.times * WIDE_SHARE }]];
}

/**
 * The networks around an address as `addressOf` answers it, from wide to narrow, and the address itself. Providers of servers get
 * an IPv6 /32 and rent out /48s and /64s; an IPv4 /16 is about as large a part of what they have.
 */
export function networksOf(address: string): string[] {
  const v4 = /^(\d+)\.(\d+)\.(\d+)\.\d+$/.exec(address);
  if (v4 !== null) return [`${v4[1]}.${v4[2]}.0.0/16`, `${v4[1]}.${v4[2]}.${v4[3]}.0/24`, address];
  const v6 = /^([\da-f]+:[\da-f]+)(:[\da-f]+):[\da-f]+::\/64$/.exec(address);
  return v6 === null ? [address] : [`${v6[1]}::/32`, `${v6[1]}${v6[2]}::/48`, address];
}

/** Who sends a request's body, for what its bytes may take (http/held-bodies.ts). */
export function senderOf(request: Request, env: ClientAddressBindings): Sender {
  const address = addressOf(request, env);
  const [network = address] = networksOf(address);
  return { address, network, share: address === UNKNOWN_ADDRESS ? SHARED_BY : 1 };
}

/** The same for a limit that is counted in memory. */
export function rateAt(address: string, { perSecond, burst }: Rate): Rate {
  const factor = address === UNKNOWN_ADDRESS ? SHARED_BY : 1;
  return { perSecond: perSecond * factor, burst: burst * factor };
}
