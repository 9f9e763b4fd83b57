import { networkInterfaces } from "node:os";

/**
 * The networks in which this computer has an address, such as `10.0.0.5/24`. Some may have public addresses: a server's own, and those of all
 * computers of an IPv6 network. From outside a firewall is in front of what listens there, and from this computer none is.
 */
export function ownNetworks(interfaces: ReturnType<typeof networkInterfaces> = networkInterfaces()): string[] {
  const networks = Object.values(interfaces).flatMap((addresses = []) => addresses.flatMap(({ cidr }) => cidr ?? []));
  return [...new Set(networks)];
}
