import { BlockList, isIP } from "node:net";

/** Proxies in front of this server whose headers about the client's address, host and scheme are trusted. */
export class TrustedProxies {
  readonly #list = new BlockList();

  /** @param ranges addresses or CIDR ranges, such as `127.0.0.1` or `10.0.0.0/8`. @throws Error naming an invalid one */
  constructor(ranges: readonly string[]) {
    for (const range of ranges) {
      const [address = "", bits, ...rest] = range.split("/");
      const family = isIP(address);
      const width = family === 4 ? 32 : 128;
      const prefix = bits === undefined ? width : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
      if (family === 0 || rest.length > 0 || prefix < 0 || prefix > width)
        throw new Error(`"${range}" is not an address or a CIDR range such as 127.0.0.1 or 10.0.0.0/8`);
      this.#list.addSubnet(address, prefix, family === 4 ? "ipv4" : "ipv6");
    }
  }

  includes(address: string): boolean {
    const plain = plainAddress(address);
    const family = isIP(plain);
    return family !== 0 && this.#list.check(plain, family === 4 ? "ipv4" : "ipv6");
  }
}

/** An IPv4 address that came in over an IPv6 socket (`::ffff:192.0.2.1`) is an IPv4 address (RFC 4291 section 2.5.5.2). */
export function plainAddress(address: string): string {
  const mapped = /^::ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1];
  return mapped ?? address;
}

/**
 * The client's address. Each proxy appends the address from which it was called to `X-Forwarded-For`, so the list is read from
 * its end. The first address that is not a trusted proxy's is the client: anything before it could be forged.
 */
export function clientAddress(peer: string, forwardedFor: string | undefined, trusted: TrustedProxies): string {
  let address = plainAddress(peer);
  const hops = forwardedFor?.split(",").map((hop) => hop.trim()) ?? [];
  while (trusted.includes(address)) {
    const before = hops.pop();
    if (before === undefined || isIP(plainAddress(before)) === 0) break;
    address = plainAddress(before);
  }
  return address;
}
