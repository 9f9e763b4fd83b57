import type { Facts } from "#protocol/control.ts";
import type { LogPosition } from "#protocol/event.ts";

/** A machine as its owner's registry knows it. */
export type MachineRecord = {
  name: string;
  slug: string;
  /** `""`: not known, since the registry was rebuilt from a script that did not have it. */
  identity: string;
  /** `null`: not known, since the registry was rebuilt; the machine's script has it. */
  linkTokenHash: string | null;
  createdMs: number;
  online: boolean;
  epoch: number;
  lastSeenMs: number | null;
  position: LogPosition | null;
  facts: Facts | null;
  template: string;
};
