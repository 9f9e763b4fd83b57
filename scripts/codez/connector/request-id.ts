/** The ids of the JSON-RPC requests in `body`: one, several of a batch (2025-03-26), or none that can be read. */
export function requestIdsOf(body: Uint8Array): (string | number)[] {
  let message: unknown;
  try {
    message = JSON.parse(Buffer.from(body.buffer, body.byteOffset, body.byteLength).toString());
  } catch {
    return []; // not JSON: the error goes out without an id
  }
  const messages: unknown[] = Array.isArray(message) ? message : [message];
  return messages.flatMap((one) => {
    if (typeof one !== "object" || one === null || !("id" in one) || !("method" in one)) return [];
    return typeof one.id === "string" || typeof one.id === "number" ? [one.id] : [];
  });
}
