import type { Facts } from "#protocol/control.ts";
import type { LogPosition } from "#protocol/event.ts";
import type { LinkStatus } from "#protocol/script-api.ts";

/**
 * What a person may allow on Operator's pages for a machine: requests for the rest of a session as well, each only once, or nothing. Denying is
 * always possible.
 */
export const PAGE_APPROVALS = ["session", "once", "nothing"] as const;
export type PageApproval = (typeof PAGE_APPROVALS)[number];

/** A machine as its owner's registry stores it. */
export type MachineRecord = {
  name: string;
  slug: string;
  /** Identifies the computer. `""` if unknown: the registry was rebuilt from a script that does not hold the identity. */
  identity: string;
  /** SHA-256 in hex. `null` if unknown: the registry was rebuilt, and only the machine's script has the hash. */
  linkTokenHash: string | null;
  /** When that token was issued; 0 if unknown. */
  linkIssuedMs: number;
  /** The public key that was registered with it. `null` if none was: the script binds the link to the first key that it is shown. */
  linkKey: string | null;
  /** What the script last reported about its link. `null` if it never did. */
  link: LinkStatus | null;
  createdMs: number;
  online: boolean;
  epoch: number;
  lastSeenMs: number | null;
  position: LogPosition | null;
  facts: Facts | null;
  template: string;
  /** Whether clients may answer permission requests of this machine (approval.ts). */
  remoteApproval: boolean;
  /** Whether requests of this machine may be put to the person in an MCP client that can show forms (elicitation/README.md). */
  elicitation: boolean;
  /** What its person may allow on Operator's pages. */
  pageApproval: PageApproval;
  /** A hosted server, which has no machine behind it. Absent for a machine. */
  kind?: "hosted";
};
