import { jsonRpcError } from "#protocol/error.ts";
import { MAY_HAVE_RUN } from "../target.ts";
import type { Ended } from "./child.ts";

/** The JSON-RPC error for a request whose server is gone. `id` is the request's own, as it was written. */
export function failureMessage(machine: string, { why, wasStarted }: Ended, id: string): string {
  const reason = wasStarted
    ? `its server ended during the call: ${why}. ${MAY_HAVE_RUN}`
    : `its server is gone: ${why}`;
  const error = jsonRpcError({ code: "machine_failed", machine, reason }, null);
  const text = Buffer.from(JSON.stringify({ ...error, id: undefined })).toString("latin1");
  return `{"id":${id},${text.slice(1)}`;
}
