import { GrowingBytes } from "./growing-bytes.ts";

/**
 * A body's bytes; `null` if there are more than `limit`, and then the rest of it is cancelled. The limit holds whatever length was announced: a
 * script that runs in the same process is not held to it.
 */
export async function bytesWithin({ body }: Request | Response, limit: number): Promise<Uint8Array | null> {
  const read = new GrowingBytes();
  if (body === null) return read.bytes;
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return read.bytes;
    if (read.length + value.byteLength > limit) {
      await reader.cancel();
      return null;
    }
    read.add(value, limit);
  }
}
