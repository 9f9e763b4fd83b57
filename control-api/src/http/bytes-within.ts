/** A body's bytes; `null` if there are more than `limit`. Reading stops there. */
export async function bytesWithin({ body }: Request, limit: number): Promise<Uint8Array | null> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > limit) return null; // leaving the loop cancels the body
    chunks.push(chunk);
  }
  return new Uint8Array(await new Blob(chunks).arrayBuffer());
}
