import { parseJson } from "./json.ts";

/** Ids of JSON-RPC requests in a body, for an error that stands in for their answers. */
export type RequestId = string | number;

const decoder = new TextDecoder();

/** The ids of the requests in `body`: one, several of a batch (2025-03-26), or none that can be read. */
export function requestIdsOf(body: Uint8Array | null): RequestId[] {
  if (body === null || body.length === 0) return [];
  const message = parseJson(decoder.decode(body)); // not JSON: the error goes out without an id
  const messages: unknown[] = Array.isArray(message) ? message : [message];
  return messages.flatMap((one) => {
    if (typeof one !== "object" || one === null || !("id" in one) || !("method" in one)) return [];
    return typeof one.id === "string" || typeof one.id === "number" ? [one.id] : [];
  });
}
