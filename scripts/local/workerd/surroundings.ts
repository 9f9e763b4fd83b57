import { readFileSync } from "node:fs";
import { PRIVATE_IPV4 } from "#protocol/private-ipv4.ts";
import type { Extension, Service } from "./config.ts";
import { ownNetworks } from "./own-networks.ts";

/** workerd's default name for the service that a Worker's `fetch` goes through (`globalOutbound`). */
const INTERNET = "internet";

/**
 * The module behind `cloudflare:email`, which workerd does not include. The `agents` package imports it, so it must
 * exist; nothing here sends mail.
 */
const EMAIL = `class EmailMessage { constructor(from, to, raw) { Object.assign(this, { from, to, raw }); } }
export default { EmailMessage };`;

/** Modules that Workers find on Cloudflare and that workerd alone does not have. */
export const CLOUDFLARE: Extension = {
  modules: [{ name: "cloudflare-internal:email", esModule: EMAIL, internal: true }],
};

const ALLOWED = { nothing: [], public: ["public"], everything: ["public", "private"] } as const;

/**
 * Networks that are not public, and that workerd counts as such: those for documentation and benchmarks, and all whose addresses stand for
 * addresses of IPv4. A translator (NAT64) leads `64:ff9b::10.0.0.1` to 10.0.0.1. It also leads to the public ones, for which a server without
 * IPv4 needs it, so of its well-known prefix only the private addresses are left out.
 */
const NOT_PUBLIC: readonly string[] = [
  ...PRIVATE_IPV4.map(([network, bits]) => `${network}/${bits}`),
  ...PRIVATE_IPV4.map(([network, bits]) => `64:ff9b::${network}/${96 + bits}`),
  "64:ff9b:1::/48", // NAT64 of a local network (RFC 8215)
  "::/96", // IPv4-compatible
  "::ffff:0:0:0/96", // IPv4-translated
  "2002::/16", // 6to4
  "100::/64",
  "100:0:0:1::/64",
  "2001:db8::/32",
  "3fff::/20",
  "5f00::/16",
  "fec0::/10",
];

/**
 * A network service: "public" reaches public addresses only, and none of this computer's own or of the networks that it is in when the service starts.
 * "everything" reaches those, too.
 */
export function internet(reach: keyof typeof ALLOWED): Service {
  const extra = process.env["NODE_EXTRA_CA_CERTS"];
  return {
    name: INTERNET,
    network: {
      allow: ALLOWED[reach],
      ...(reach === "public" ? { deny: [...NOT_PUBLIC, ...ownNetworks()] } : {}),
      tlsOptions: {
        trustBrowserCas: true,
        // Node trusts these certificates too, so both can reach the same hosts.
        ...(extra === undefined || extra === "" ? {} : { trustedCertificates: certificatesIn(extra) }),
      },
    },
  };
}

function certificatesIn(path: string): string[] {
  try {
    return readFileSync(path, "utf8").match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  } catch {
    return []; // Node itself has already printed a warning about this file and ignores it
  }
}
