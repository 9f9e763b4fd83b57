import { readFileSync } from "node:fs";
import type { Extension, Service } from "./config.ts";

/** Where a Worker's own `fetch` leads, by the name that workerd looks for. */
const INTERNET = "internet";

/**
 * The class that `cloudflare:email` exports, which workerd leaves to those who embed it. The `agents` package imports
 * it; nothing here sends mail.
 */
const EMAIL = `class EmailMessage { constructor(from, to, raw) { Object.assign(this, { from, to, raw }); } }
export default { EmailMessage };`;

/** What every Worker that was written for Cloudflare expects around it, and bare workerd does not have. */
export const CLOUDFLARE: Extension = {
  modules: [{ name: "cloudflare-internal:email", esModule: EMAIL, internal: true }],
};

/** Public addresses, and, for the repository's own Workers, those of this computer and its network as well. */
export function internet(reach: "public" | "everything"): Service {
  const extra = process.env["NODE_EXTRA_CA_CERTS"];
  return {
    name: INTERNET,
    network: {
      allow: reach === "public" ? ["public"] : ["public", "private"],
      tlsOptions: {
        trustBrowserCas: true,
        // The certificates that Node is told to trust here, so that both see the same web.
        ...(extra === undefined || extra === "" ? {} : { trustedCertificates: certificatesIn(extra) }),
      },
    },
  };
}

function certificatesIn(path: string): string[] {
  try {
    return readFileSync(path, "utf8").match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  } catch {
    return []; // Node has warned of it already, and goes on without
  }
}
