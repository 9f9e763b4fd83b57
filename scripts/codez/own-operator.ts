import { whyNotTrust } from "../trust/operator-proof.ts";

/** Why what answers at a link's address must not have this machine: it would call the machine's server, and decide what its sessions ask. */
export function whyNotDial(linkUrl: string): Promise<string | null> {
  return whyNotTrust(new URL(linkUrl.replace(/^ws/, "http")).origin);
}
