/** A body's text; `null` if it is larger than `limit` bytes, and then the rest of it is cancelled. */
export async function textWithin({ body }: Request | Response, limit: number): Promise<string | null> {
  const decoder = new TextDecoder();
  let [text, bytes] = ["", 0];
  for await (const chunk of body ?? []) {
    bytes += chunk.length;
    if (bytes > limit) return null; // leaving the loop cancels the body
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}
