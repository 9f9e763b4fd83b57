import { ERROR_HEADER, jsonRpcError, OperatorFailure, statusOf, type OperatorError } from "#protocol/error.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import { requestIdsOf } from "#protocol/json-rpc-id.ts";

const encoder = new TextEncoder();

/** The machine's server could not be greeted, so the call that waited for it was never sent. */
export class HandshakeFailed extends Error {
  override readonly name = "HandshakeFailed";
}

/**
 * What went wrong on the way to a machine, as one of our errors. What is not an `OperatorFailure` went wrong after the
 * request was sent: the connector cancelled it, or its answer could not be understood. So the call may have been carried
 * out, unless it was still waiting for the server's handshake.
 */
export function operatorErrorOf(reason: unknown, machine: string): OperatorError {
  if (reason instanceof OperatorFailure) return reason.error;
  const message = (reason instanceof Error ? reason.message : String(reason)).slice(0, MAX_REASON_CHARACTERS);
  if (reason instanceof HandshakeFailed) return { code: "machine_failed", machine, reason: message };
  return { code: "machine_failed", machine, reason: message, mayHaveRun: true };
}

/** A failure in place of the machine's answer: a JSON-RPC error when the request was one, with the HTTP status that fits. */
export function failureResponse(error: OperatorError, body: Uint8Array | null): Response {
  const ids = requestIdsOf(body);
  const errors = (ids.length === 0 ? [null] : ids).map((id) => jsonRpcError(error, id));
  const headers = { "content-type": "application/json", [ERROR_HEADER]: error.code };
  return new Response(JSON.stringify(errors.length === 1 ? errors[0] : errors), { status: statusOf(error), headers });
}

/** What a POST's event stream says last when its link is lost: a JSON-RPC error for each request that waits on it. */
export function closingWord(error: OperatorError, method: string, body: Uint8Array | null): Uint8Array | null {
  if (method !== "POST") return null;
  const ids = requestIdsOf(body);
  if (ids.length === 0) return null;
  // The blank line first ends an event that was cut off in its middle.
  const events = ids.map((id) => `\n\nevent: message\ndata: ${JSON.stringify(jsonRpcError(error, id))}\n\n`);
  return encoder.encode(events.join(""));
}
