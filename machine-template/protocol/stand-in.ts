import { utf8 } from "./bytes.ts";
import { ERROR_HEADER, jsonRpcError, statusOf, type OperatorError } from "./error.ts";
import { requestIdsOf } from "./json-rpc-id.ts";

/**
 * The answers that Operator makes when a machine's own answer is missing. The part that notices the failure makes the answer:
 * the script when its link is lost, the gate when the script fails. `body` is the request's body, from which the ids of its
 * JSON-RPC requests are read. It is `null` when the body was streamed and therefore never read here.
 */

/** A failed call's response: a JSON-RPC error for each request in `body`, with the error's HTTP status. */
export function failureResponse(error: OperatorError, body: Uint8Array | null): Response {
  const ids = requestIdsOf(body);
  const errors = (ids.length === 0 ? [null] : ids).map((id) => jsonRpcError(error, id));
  const headers = { "content-type": "application/json", [ERROR_HEADER]: error.code };
  return new Response(JSON.stringify(errors.length === 1 ? errors[0] : errors), { status: statusOf(error), headers });
}

/**
 * The final events of a POST's event stream that cannot be completed: a JSON-RPC error for each request that waits for an
 * answer.
 */
export function closingWord(error: OperatorError, method: string, body: Uint8Array | null): Uint8Array | null {
  if (method !== "POST") return null;
  const ids = requestIdsOf(body);
  if (ids.length === 0) return null;
  // The leading blank line ends an event that was cut off in the middle.
  const events = ids.map((id) => `\n\nevent: message\ndata: ${JSON.stringify(jsonRpcError(error, id))}\n\n`);
  return utf8(events.join(""));
}
