import { utf8 } from "./bytes.ts";
import { ERROR_HEADER, jsonRpcError, statusOf, type OperatorError } from "./error.ts";
import { requestIdsOf } from "./json-rpc-id.ts";

/**
 * What stands in for a machine's own answer when there is none. Whoever finds out that a call has failed makes it: the
 * script when its link is lost, the gate when the script is. `body` is the request's, for the ids of its JSON-RPC
 * requests; `null` when it was streamed on and nobody has read it.
 */

/** A failure instead of an answer: a JSON-RPC error for each request, with the HTTP status that fits. */
export function failureResponse(error: OperatorError, body: Uint8Array | null): Response {
  const ids = requestIdsOf(body);
  const errors = (ids.length === 0 ? [null] : ids).map((id) => jsonRpcError(error, id));
  const headers = { "content-type": "application/json", [ERROR_HEADER]: error.code };
  return new Response(JSON.stringify(errors.length === 1 ? errors[0] : errors), { status: statusOf(error), headers });
}

/** The last events of a POST's event stream that cannot be completed: a JSON-RPC error for each request that waits on it. */
export function closingWord(error: OperatorError, method: string, body: Uint8Array | null): Uint8Array | null {
  if (method !== "POST") return null;
  const ids = requestIdsOf(body);
  if (ids.length === 0) return null;
  // The blank line first ends an event that was cut off in its middle.
  const events = ids.map((id) => `\n\nevent: message\ndata: ${JSON.stringify(jsonRpcError(error, id))}\n\n`);
  return utf8(events.join(""));
}
