/**
 * A body's bytes; `null` if there are more than `limit`, and then the rest of it is cancelled. The limit holds whatever length was announced: a
 * script that runs in the same process is not held to it.
 */
export async function bytesWithin({ body }: Request | Response, limit: number): Promise<Uint8Array | null> {
  if (body === null) return new Uint8Array();
  const reader: ReadableStreamDefaultReader<Uint8Array> = body.getReader();
  let room: Uint8Array = new Uint8Array();
  let length = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return room.subarray(0, length);
    const longer = length + value.byteLength;
    if (longer > limit) {
      await reader.cancel();
      return null;
    }
    // Nearly always the first chunk is the only one, and needs no copy. A list of chunks would take a hundred times their bytes if each has only one.
    if (length === 0) room = value;
    else {
      if (longer > room.byteLength) room = enlarged(room, Math.min(limit, Math.max(longer, 2 * room.byteLength)));
      room.set(value, length);
    }
    length = longer;
  }
}

function enlarged(bytes: Uint8Array, size: number): Uint8Array {
  const larger = new Uint8Array(size);
  larger.set(bytes);
  return larger;
}
