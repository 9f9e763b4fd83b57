import dns from "node:dns";
import { syncBuiltinESMExports } from "node:module";

const { lookup } = dns;

type Lookup = (hostname: string, options: dns.LookupOptions, callback: (...found: unknown[]) => void) => void;

/** Names that lead to this computer for every client in this process, as if a DNS said so. */
export const namesOfThisComputer = new Set<string>();

/**
 * `*.localhost` is this computer (RFC 6761 section 6.3). Browsers and curl know it, and so do some systems' resolvers;
 * where the system's does not, every client in this process learns it here.
 */
const addressOf = (hostname: string): string =>
  hostname.endsWith(".localhost") || namesOfThisComputer.has(hostname) ? "127.0.0.1" : hostname;

const resolve: Lookup = (hostname, options, callback) =>
  (lookup as unknown as Lookup)(addressOf(hostname), options, callback);

// `node:net` looks the function up at each connection; nothing calls it with fewer than three arguments.
dns.lookup = resolve as unknown as typeof dns.lookup;

const { lookup: promised } = dns.promises;
dns.promises.lookup = ((hostname: string, options: dns.LookupAllOptions) =>
  promised(addressOf(hostname), options)) as typeof dns.promises.lookup;
// Named imports of the function see it only after this.
syncBuiltinESMExports();
