import type { LogPosition } from "#protocol/event.ts";
import { type Identified, shown, type ShownMachine } from "../http/shown-machine.ts";

/**
 * A cursor: the reader's position in the person's log. It is opaque to clients, grants no access to anything, and has the same few
 * characters however many machines there are. That of a reader who asks for one machine also says which computer that was (`machineIn`).
 */
export function encodeCursor({ epoch, seq }: LogPosition, about: Identified | null = null): string {
  return cursorAbout(`${epoch}-${seq.toString(36)}`, about);
}

/** The cursor of a reader of one machine, from one of several machines. It stays as it is if nobody knows which computer the machine is. */
export function cursorAbout(cursor: string, about: Identified | null): string {
  return about === null || about.identity === "" ? cursor : `${cursor}.${shown(about).mark}.${about.name}`;
}

const CURSOR = /^([0-9a-f]{8})-([0-9a-z]{1,11})(?:\.([0-9a-f]{32})\.([a-z0-9-]{1,64}))?$/;

/** A cursor of version 0.2 was the Base64 of a list of positions, one for each machine: `[[` or `[]`. */
const FORMER_CURSOR = /^W(?:1s|10)[\w-]*$/;

/** The position in a cursor; `"expired"` for one of an earlier version, `null` for what is no cursor. */
export function decodeCursor(cursor: string): LogPosition | "expired" | null {
  const [, epoch, digits] = CURSOR.exec(cursor) ?? [];
  if (epoch === undefined || digits === undefined) return FORMER_CURSOR.test(cursor) ? "expired" : null;
  const seq = Number.parseInt(digits, 36);
  return Number.isSafeInteger(seq) ? { epoch, seq } : null;
}

/** The machine that a cursor's reader asked for, as it was then; `null` for a cursor of several machines. */
export function machineIn(cursor: string | null): ShownMachine | null {
  const [, , , mark, name] = CURSOR.exec(cursor ?? "") ?? [];
  return mark === undefined || name === undefined ? null : { name, mark };
}
