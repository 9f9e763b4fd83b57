import { CHUNK_BYTES } from "#protocol/limits.ts";

/** Reads a body that fits into one frame; `null` when there is no body or it has to be streamed. */
export async function smallBody(request: Request): Promise<Uint8Array<ArrayBuffer> | null> {
  const length = request.headers.get("content-length");
  if (length === null || Number(length) > CHUNK_BYTES || request.body === null) return null;
  return new Uint8Array(await request.arrayBuffer());
}
