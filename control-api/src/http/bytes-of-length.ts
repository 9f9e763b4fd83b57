/**
 * A body's bytes, if there are exactly `length` of them. Throws if there are fewer or more: a script that runs in the same process is not held
 * to the length that it announced.
 *
 * It asks once for one byte more than there should be, which the end of the body answers. To read it as it comes takes at least two reads, and
 * each costs a call more than the rest of this.
 */
export async function bytesOfLength(body: ReadableStream, length: number): Promise<Uint8Array> {
  const reader = body.getReader({ mode: "byob" });
  const { value } = await reader.readAtLeast(length + 1, new Uint8Array(length + 1));
  const read = value?.byteLength ?? 0;
  if (value !== undefined && read === length) return value;
  await reader.cancel();
  throw new Error(`a body has ${read > length ? "more" : "fewer"} bytes than the ${length} that were announced`);
}
