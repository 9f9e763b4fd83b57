import { parseJson } from "./json.ts";

/** The id of a JSON-RPC request. Operator reads it only to answer with an error under the same id. */
export type RequestId = string | number;

const decoder = new TextDecoder();

/** The ids of the requests in `body`: one, several for a batch (MCP 2025-03-26), or an empty list when none can be read. */
export function requestIdsOf(body: Uint8Array | null): RequestId[] {
  if (body === null || body.length === 0) return [];
  const message = parseJson(decoder.decode(body)); // not JSON: the error has no id then
  const messages: unknown[] = Array.isArray(message) ? message : [message];
  return messages.flatMap((one) => {
    if (typeof one !== "object" || one === null || !("id" in one) || !("method" in one)) return [];
    return typeof one.id === "string" || typeof one.id === "number" ? [one.id] : [];
  });
}
