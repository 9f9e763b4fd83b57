import { jsonRpcError } from "#protocol/error.ts";

/** The JSON-RPC error for a request whose server is gone. `id` is the request's own, as it was written. */
export function failureMessage(machine: string, reason: string, id: string): string {
  const error = jsonRpcError({ code: "machine_failed", machine, reason }, null);
  const text = Buffer.from(JSON.stringify({ ...error, id: undefined })).toString("latin1");
  return `{"id":${id},${text.slice(1)}`;
}
