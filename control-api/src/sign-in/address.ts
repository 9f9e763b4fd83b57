import type { Limit } from "./accounts/limits.ts";

export type ClientAddressBindings = {
  /**
   * "1": nothing stands in front that replaces what clients say about their address (a start for one computer), so that it is
   * not believed. In a deployment Cloudflare does, at a public start the front.
   */
  readonly NO_EDGE?: string;
};

/** The client's address is not known: the request came through this computer's own port, or through a proxy that does not say. */
export const UNKNOWN_ADDRESS = "unknown";

/** So many people are taken to be behind an address that is not known. */
const SHARED_BY = 10;

/** Who is counted together in rate limits: an IPv4 address, an IPv6 /64 (what one customer gets), or all who are unknown. */
export function addressOf(request: Request, { NO_EDGE: noEdge }: ClientAddressBindings): string {
  const address = noEdge === "1" ? null : request.headers.get("cf-connecting-ip");
  if (address === null || address === "") return UNKNOWN_ADDRESS;
  return address.includes(":") ? networkOf(address) : address;
}

/** A limit for one address. Who shares an unknown one with others is not locked out by their first mistakes. */
export function limitAt(address: string, { times, windowMs }: Limit): Limit {
  return address === UNKNOWN_ADDRESS ? { times: times * SHARED_BY, windowMs } : { times, windowMs };
}

/**
 * The /64 of an IPv6 address, the same however the address is written (RFC 4291 section 2.2: `::` stands for zeros, and the last
 * 32 bits may be dotted). An IPv4 address in IPv6 clothes (`::ffff:192.0.2.1`) is that IPv4 address.
 */
function networkOf(address: string): string {
  const plain = address.toLowerCase().split("%", 1)[0] ?? "";
  // The URL parser knows all ways to write one, and answers the same way for all.
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
