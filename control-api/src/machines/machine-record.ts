import type { Facts } from "#protocol/control.ts";
import type { LogPosition } from "#protocol/event.ts";

/** A machine as its owner's registry stores it. */
export type MachineRecord = {
  name: string;
  slug: string;
  /** Identifies the computer. `""` if unknown: the registry was rebuilt from a script that does not hold the identity. */
  identity: string;
  /** SHA-256 in hex. `null` if unknown: the registry was rebuilt, and only the machine's script has the hash. */
  linkTokenHash: string | null;
  createdMs: number;
  online: boolean;
  epoch: number;
  lastSeenMs: number | null;
  position: LogPosition | null;
  facts: Facts | null;
  template: string;
  /** Whether clients may answer permission requests of this machine (approval.ts). */
  remoteApproval: boolean;
};
