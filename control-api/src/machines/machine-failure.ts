import type { OperatorError } from "#protocol/error.ts";
import { ERROR_HEADER } from "#protocol/error.ts";
import * as z from "zod/mini";
import { parseJson } from "#protocol/json.ts";

/** Our errors as they stand in a response: REST's `{ error }`, or a JSON-RPC error's `data`. */
const Details = z.looseObject({ code: z.string() });
const Body = z.union([z.object({ error: z.object({ data: Details }) }), z.object({ error: Details })]);

const LAST_SEEN = z.object({ lastSeenMs: z.nullable(z.int()) });
const AFTER = z.object({ afterMs: z.int() });
const REASON = z.object({ reason: z.string() });

/** Whether a response stands in for a machine's own. */
export function isFailure(response: Response): boolean {
  return response.headers.has(ERROR_HEADER);
}

/** The error that a script or the dispatch Worker answered with, about the machine that its owner calls `machine`. */
export async function failureIn(response: Response, machine: string): Promise<OperatorError> {
  const text = await response.text();
  const details = detailsIn(text);
  const reason = REASON.safeParse(details).data?.reason;
  switch (details?.code) {
    case "machine_unknown":
    case "machine_revoked":
    case "link_lost":
      return { code: details.code, machine };
    case "agent_too_old":
      return { code: "agent_too_old", machine, reason: reason ?? "" };
    case "invalid_request": // a call that cannot cross the link, such as one with too large a head
      return { code: "invalid_request", reason: reason ?? "" };
    case "machine_offline":
      return { code: "machine_offline", machine, lastSeenMs: LAST_SEEN.safeParse(details).data?.lastSeenMs ?? null };
    case "machine_timeout":
      return { code: "machine_timeout", machine, afterMs: AFTER.safeParse(details).data?.afterMs ?? 0 };
    case "machine_busy":
      return { code: "machine_busy", machine, limit: Number(details["limit"] ?? 0) };
    default:
      return {
        code: "machine_failed",
        machine,
        reason: reason ?? `HTTP ${response.status}: ${text.slice(0, 300)}`,
      };
  }
}

function detailsIn(text: string): z.infer<typeof Details> | null {
  const body = Body.safeParse(parseJson(text));
  if (!body.success) return null; // not one of our errors; its text is shown as it is
  const { error } = body.data;
  return "data" in error && Details.safeParse(error.data).success
    ? Details.parse(error.data)
    : (Details.safeParse(error).data ?? null);
}
