import * as z from "zod/mini";
import { base64Url, fromBase64, utf8 } from "#protocol/bytes.ts";
import { LogPosition } from "#protocol/event.ts";

/**
 * A cursor across machines: the reader's position in each machine's log. It is opaque to clients and grants no access to
 * anything.
 */
const Vector = z.record(z.string(), LogPosition);
export type Vector = z.infer<typeof Vector>;

/** Room for the positions of about 1,500 machines. Operator is built for users with 1,000. */
const MAX_CURSOR_CHARACTERS = 96 * 1024;

export function encodeCursor(vector: Vector): string {
  const compact = Object.entries(vector).map(([name, { epoch, seq }]) => [name, epoch, seq]);
  return base64Url(utf8(JSON.stringify(compact)));
}

/** The positions in a cursor, or `null` for an invalid cursor. */
export function decodeCursor(cursor: string): Vector | null {
  if (cursor.length > MAX_CURSOR_CHARACTERS) return null;
  try {
    const entries = z
      .array(z.tuple([z.string(), z.string(), z.int()]))
      .parse(JSON.parse(new TextDecoder().decode(fromBase64(cursor))));
    return Vector.parse(Object.fromEntries(entries.map(([name, epoch, seq]) => [name, { epoch, seq }])));
  } catch {
    return null; // not Base64, not JSON or of another shape; the caller gets the same advice for all three: start without a cursor
  }
}
