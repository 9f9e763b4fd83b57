import type { LogPosition } from "#protocol/event.ts";

/**
 * A cursor: the reader's position in the person's log. It is opaque to clients, grants no access to anything, and has the same few
 * characters however many machines there are.
 */
export function encodeCursor({ epoch, seq }: LogPosition): string {
  return `${epoch}-${seq.toString(36)}`;
}

const CURSOR = /^([0-9a-f]{8})-([0-9a-z]{1,11})$/;

/** A cursor of version 0.2 was the Base64 of a list of positions, one for each machine: `[[` or `[]`. */
const FORMER_CURSOR = /^W(?:1s|10)[\w-]*$/;

/** The position in a cursor; `"expired"` for one of an earlier version, `null` for what is no cursor. */
export function decodeCursor(cursor: string): LogPosition | "expired" | null {
  const [, epoch, digits] = CURSOR.exec(cursor) ?? [];
  if (epoch === undefined || digits === undefined) return FORMER_CURSOR.test(cursor) ? "expired" : null;
  const seq = Number.parseInt(digits, 36);
  return Number.isSafeInteger(seq) ? { epoch, seq } : null;
}
