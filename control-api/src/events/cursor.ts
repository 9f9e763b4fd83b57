import * as z from "zod/mini";
import { base64Url, fromBase64, utf8 } from "#protocol/bytes.ts";
import { LogPosition } from "#protocol/event.ts";

/** A cursor across machines: where each machine's log was read up to. Opaque to clients; it gives no access to anything. */
const Vector = z.record(z.string(), LogPosition);
export type Vector = z.infer<typeof Vector>;

/** Some 1,500 machines' positions; a user may well have a thousand. */
const MAX_CURSOR_CHARACTERS = 96 * 1024;

export function encodeCursor(vector: Vector): string {
  const compact = Object.entries(vector).map(([name, { epoch, seq }]) => [name, epoch, seq]);
  return base64Url(utf8(JSON.stringify(compact)));
}

/** The vector in a cursor, or `null` when it is none of ours. */
export function decodeCursor(cursor: string): Vector | null {
  if (cursor.length > MAX_CURSOR_CHARACTERS) return null;
  try {
    const entries = z
      .array(z.tuple([z.string(), z.string(), z.int()]))
      .parse(JSON.parse(new TextDecoder().decode(fromBase64(cursor))));
    return Vector.parse(Object.fromEntries(entries.map(([name, epoch, seq]) => [name, { epoch, seq }])));
  } catch {
    return null; // not Base64, not JSON, or not of this shape: all the same to the caller, who is told how to begin anew
  }
}
