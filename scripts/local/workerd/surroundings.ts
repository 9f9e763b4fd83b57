import { readFileSync } from "node:fs";
import type { Extension, Service } from "./config.ts";

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

/** A network service: "public" reaches public addresses only, "everything" also this computer and its local network. */
export function internet(reach: keyof typeof ALLOWED): Service {
  const extra = process.env["NODE_EXTRA_CA_CERTS"];
  return {
    name: INTERNET,
    network: {
      allow: ALLOWED[reach],
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
