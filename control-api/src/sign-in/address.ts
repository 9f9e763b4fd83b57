import type { Rate } from "#protocol/token-bucket.ts";
import type { Sender } from "../http/held-bodies.ts";
import type { Limit } from "./accounts/limits.ts";

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
  return address.includes(":") ? networkOf(address) : address;
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
export function countedUnder(name: string, address: string, limit: Limit): [key: string, limit: Limit][] {
  const [wide = address] = networksOf(address);
  const here: [string, Limit] = [`${name}:${address}`, limitAt(address, limit)];
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

/**
 * The /64 network of an IPv6 address. All spellings of one address give the same result (RFC 4291 section 2.2: `::` stands for
 * zeros, and the last 32 bits may be in dotted decimal). An IPv4-mapped address (`::ffff:192.0.2.1`) gives the IPv4 address;
 * otherwise all IPv4 clients of a dual-stack proxy would share the one network `0:0:0:0::/64`.
 */
function networkOf(address: string): string {
  const plain = address.toLowerCase().split("%", 1)[0] ?? "";
  // The URL parser accepts every spelling and returns the canonical one.
  if (!URL.canParse(`http://[${plain}]/`)) return address;
  const canonical = new URL(`http://[${plain}]/`).hostname.slice(1, -1);
  const [before = "", after] = canonical.split("::");
  const [head, tail] = [before, after ?? ""].map((side) => (side === "" ? [] : side.split(":")));
  const zeros = Array.from({ length: 8 - (head?.length ?? 0) - (tail?.length ?? 0) }, () => "0");
  const groups = after === undefined ? (head ?? []) : [...(head ?? []), ...zeros, ...(tail ?? [])];
  const isMapped = groups.slice(0, 5).every((group) => group === "0") && groups[5] === "ffff";
  return isMapped ? dotted(groups.slice(6)) : `${groups.slice(0, 4).join(":")}::/64`;
}

function dotted(groups: readonly string[]): string {
  return groups
    .map((group) => Number.parseInt(group, 16))
    .flatMap((value) => [value >> 8, value & 0xff])
    .join(".");
}
