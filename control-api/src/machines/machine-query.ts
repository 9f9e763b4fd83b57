import type { MachineRecord } from "./machine-record.ts";

/** Where a machine stands in lists: those that are online come first, by name; then the others, those seen last first. */
export type MachinePlace = {
  /** 0: online; 1: was online; 2: never was. */
  readonly rank: 0 | 1 | 2;
  /** When it was seen last, milliseconds since 1970; 0 for machines that are online or never were. */
  readonly seenMs: number;
  readonly name: string;
};

/** Which of a person's machines and hosted servers a reader wants to see. */
export type MachineQuery = {
  /** Identities of the computers that the reader may see; `null` for all. */
  readonly visible: readonly string[] | null;
  /** Only machines whose name or host name contains this; `""` for all. */
  readonly words?: string;
  /** Only machines that were added after this time, milliseconds since 1970. */
  readonly addedAfterMs?: number;
  /** Only those after this place. */
  readonly after?: MachinePlace | null;
  /** How many to leave out, for pages that count. */
  readonly skip?: number;
  readonly limit: number;
};

/** A page of machines. `total` and `online` count all that the query is about, whatever page is read. */
export type ListedMachines = {
  readonly machines: readonly MachineRecord[];
  readonly total: number;
  readonly online: number;
  /** Whether there are machines after the last one of this page. */
  readonly hasMore: boolean;
};

/** A part of the list by name: those after a name (`""`: from the beginning) that the reader may see (`null`: all). */
export type NameQuery = { readonly visible: readonly string[] | null; readonly after: string; readonly limit: number };

/** The answer to a `NameQuery`. `hasMore`: there are machines after the last one of these. */
export type NamedMachines = { readonly machines: readonly MachineRecord[]; readonly hasMore: boolean };

/** What a list of choices needs of a machine, without what the machine told of itself. */
export type MachineEntry = Pick<MachineRecord, "name" | "identity" | "online" | "remoteApproval" | "elicitation">;

/** @param record a machine of the page that was read last */
export function placeOf({ name, online, lastSeenMs }: MachineRecord): MachinePlace {
  if (online) return { rank: 0, seenMs: 0, name };
  return lastSeenMs === null ? { rank: 2, seenMs: 0, name } : { rank: 1, seenMs: lastSeenMs, name };
}

/** A place as clients pass it back. */
export function machineCursor({ rank, seenMs, name }: MachinePlace): string {
  return `${rank}-${seenMs.toString(36)}-${name}`;
}

/** The place that a cursor names; `null` for what is not a cursor. */
export function placeIn(cursor: string): MachinePlace | null {
  const [, rank, seen, name] = /^([012])-([0-9a-z]{1,11})-([a-z0-9-]{1,64})$/.exec(cursor) ?? [];
  if (rank === undefined || seen === undefined || name === undefined) return null;
  return { rank: rank === "0" ? 0 : rank === "1" ? 1 : 2, seenMs: Number.parseInt(seen, 36), name };
}
