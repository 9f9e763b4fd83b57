import { OperatorFailure, type OperatorError } from "#protocol/error.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";

/** The MCP handshake with the machine's server failed, so the call that waited for it was never sent. */
export class HandshakeFailed extends Error {
  override readonly name = "HandshakeFailed";
}

/**
 * Converts whatever a call was rejected with into an `OperatorError`. Anything but an `OperatorFailure` happened after the request
 * was sent: the connector cancelled the exchange, or its answer was invalid. So the call may have been carried out, unless it
 * was still waiting for the server's handshake.
 */
export function operatorErrorOf(reason: unknown, machine: string): OperatorError {
  if (reason instanceof OperatorFailure) return reason.error;
  const message = (reason instanceof Error ? reason.message : String(reason)).slice(0, MAX_REASON_CHARACTERS);
  if (reason instanceof HandshakeFailed) return { code: "machine_failed", machine, reason: message };
  return { code: "machine_failed", machine, reason: message, mayHaveRun: true };
}
