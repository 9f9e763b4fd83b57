import { jsonRpcError } from "#protocol/error.ts";
import type { Ended } from "./child.ts";

/** The JSON-RPC error for a request whose server is gone. `id` is the request's id as it was written. */
export function failureMessage(machine: string, { why, wasStarted }: Ended, id: string): string {
  // A call that was written to the process may have been carried out before it ended. Only the process could know.
  const error = wasStarted
    ? jsonRpcError({ code: "machine_failed", machine, reason: `its server ended: ${why}`, mayHaveRun: true }, null)
    : jsonRpcError({ code: "machine_failed", machine, reason: why }, null);
  const text = Buffer.from(JSON.stringify({ ...error, id: undefined })).toString("latin1");
  return `{"id":${id},${text.slice(1)}`;
}
