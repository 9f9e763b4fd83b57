import type { EventDetail, LogPosition } from "#protocol/event.ts";
import type { ShownMachine } from "../http/shown-machine.ts";

/** Which events a reader wants, and from where. */
export type EventQuery = {
  /** The reader's cursor; `null` to begin. */
  readonly after: LogPosition | null;
  /** Identities of the computers that the reader may see; `null` for all of the person's, removed ones included. */
  readonly visible: readonly string[] | null;
  /** Only this machine. */
  readonly machine: string | null;
  /** A machine as the reader heard of it before. If that is the one asked for, and another computer has its name now, nothing is read. */
  readonly before: ShownMachine | null;
  /** Only this session, by the machine's own id; together with `machine`. */
  readonly session: string | null;
  /** Only sessions of this project. */
  readonly project: string | null;
  /** Only these types; `permission.*` stands for all that begin so. `null` for all. */
  readonly types: readonly string[] | null;
  /** Whether the reader may read notices about the account; only those who name their types get any. */
  readonly notices: boolean;
  readonly detail: EventDetail;
  /** How long to wait if there is nothing yet. Milliseconds. */
  readonly waitMs: number;
};

/** An event of the log. `seq` is its place in the log, `machineSeq` its number in its machine's own log, `data` is JSON. */
export type StoredEvent = {
  readonly seq: number;
  readonly machine: string;
  readonly machineSeq: number;
  readonly atMs: number;
  readonly type: string;
  readonly session: string | null;
  readonly data: string;
  /** The computer that it came from, which may not be the one that has the machine's name now. `null` if that is not known. */
  readonly identity: string | null;
};

/**
 * Events after a position, and the position to go on from. `gaps`: machines of which events are missing in between. `computer`: which one the
 * machine is that was asked for; `null` if that is not known, or none was.
 */
export type EventsRead = {
  readonly events: readonly StoredEvent[];
  readonly position: LogPosition;
  readonly more: boolean;
  readonly gaps: readonly string[];
  readonly computer: string | null;
};

/** Why nothing could be read: the cursor belongs to a log that is gone, there is no such machine, or another computer has its name now. */
export type EventsRefused =
  | { readonly refused: "cursor_expired" }
  | { readonly refused: "machine_unknown" | "machine_replaced"; readonly machine: string };

/** Where an event came from: a machine's name now, and the computer. `null`: an earlier release has stored the event and did not say which. */
export type EventOrigin = Pick<StoredEvent, "machine" | "identity">;
