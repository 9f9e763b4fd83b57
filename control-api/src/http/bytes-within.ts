import { BodyReader } from "#protocol/body-reader.ts";
import { GrowingBytes } from "./growing-bytes.ts";

/**
 * A body's bytes; `null` if there are more than `limit`, and then the rest of it is cancelled. The limit holds whatever length was announced: a
 * script that runs in the same process is not held to it.
 */
export async function bytesWithin({ body }: Request | Response, limit: number): Promise<Uint8Array | null> {
  const read = new GrowingBytes();
  if (body === null) return read.bytes;
  const reader = new BodyReader(body);
  for (let piece = await reader.read(); piece !== null; piece = await reader.read()) {
    if (read.length + piece.byteLength > limit) {
      await reader.cancel();
      return null;
    }
    read.add(piece, limit);
  }
  return read.bytes;
}
