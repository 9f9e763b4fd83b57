/**
 * The key under which rate limits count a client: its IPv4 address, or the /64 network of its IPv6 address. A whole /64 counts as one
 * client because providers give each customer at least that much: counted singly, one attacker has 2^64 addresses.
 */
export function clientKeyOf(address: string): string {
  return address.includes(":") ? networkOf(address) : address;
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
