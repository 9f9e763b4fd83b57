import { bytesWithin } from "./bytes-within.ts";

/** A body's text; `null` if it is larger than `limit` bytes, and then the rest of it is cancelled. */
export async function textWithin(message: Request | Response, limit: number): Promise<string | null> {
  const bytes = await bytesWithin(message, limit);
  return bytes === null ? null : new TextDecoder().decode(bytes);
}
