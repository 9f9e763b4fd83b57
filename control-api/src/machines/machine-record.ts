import type { Facts } from "#protocol/control.ts";
import type { LogPosition } from "#protocol/event.ts";

/** A machine as its owner's registry knows it. */
export type MachineRecord = {
  name: string;
  slug: string;
  identity: string;
  linkTokenHash: string;
  createdMs: number;
  online: boolean;
  epoch: number;
  lastSeenMs: number | null;
  position: LogPosition | null;
  facts: Facts | null;
  template: string;
};
