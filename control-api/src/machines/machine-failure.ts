import type { OperatorError } from "#protocol/error.ts";
import { ERROR_HEADER } from "#protocol/error.ts";
import { parseJson } from "#protocol/json.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import * as z from "zod/mini";

/** Our errors as they stand in a response: REST's `{ error }`, or a JSON-RPC error's `data`. */
const Details = z.looseObject({ code: z.string() });
const Body = z.union([z.object({ error: z.object({ data: Details }) }), z.object({ error: Details })]);

/** The linter takes a call of `z.catch` for one of a promise's. */
const { catch: withDefault } = z;

/** The evidence of a case. A part that is missing or malformed reads as if it were not there. */
const Evidence = z.looseObject({
  reason: withDefault(z.optional(z.string()), undefined),
  lastSeenMs: withDefault(z.nullable(z.int()), null),
  afterMs: withDefault(z.int(), 0),
  limit: withDefault(z.int(), 0),
  tool: withDefault(z.string(), ""),
  mayHaveRun: withDefault(z.boolean(), false),
  counts: withDefault(z.optional(z.enum(["calls", "sessions"])), undefined),
});

/** Whether a response stands in for a machine's own. */
export function isFailure(response: Response): boolean {
  return response.headers.has(ERROR_HEADER);
}

/**
 * The error that a script or the dispatch Worker answered with, about the machine that its owner calls `machine`. An
 * answer that is not one of our errors says nothing about how far the call came, so that one may have been carried out.
 */
export async function failureIn(response: Response, machine: string): Promise<OperatorError> {
  const text = await response.text();
  const details = detailsIn(text);
  const ours = failureOf(details, machine);
  if (ours !== null) return ours;
  const said = Evidence.parse(details ?? {}).reason ?? `HTTP ${response.status}: ${text}`;
  return { code: "machine_failed", machine, reason: said.slice(0, MAX_REASON_CHARACTERS), mayHaveRun: true };
}

/**
 * The error that `details` (the `data` of a JSON-RPC error, or REST's `error`) tells of, with the name that its owner
 * uses; `null` when it is not one that happens on the way to a machine. A machine may have made it up, so nothing in it is
 * taken over unless it has the right type and a bounded length.
 */
export function failureOf(details: unknown, machine: string): OperatorError | null {
  const given = Details.safeParse(details);
  if (!given.success) return null;
  const { reason = "", lastSeenMs, afterMs, limit, tool, mayHaveRun, counts } = Evidence.parse(given.data);
  const said = reason.slice(0, MAX_REASON_CHARACTERS);
  switch (given.data.code) {
    case "machine_unknown":
    case "machine_starting":
    case "machine_revoked":
    case "link_lost":
      return { code: given.data.code, machine };
    case "machine_offline":
      return { code: "machine_offline", machine, lastSeenMs };
    case "machine_timeout":
      return { code: "machine_timeout", machine, afterMs };
    case "machine_busy":
      return { code: "machine_busy", machine, limit, ...(counts === undefined ? {} : { counts }) };
    case "tool_unknown":
      return { code: "tool_unknown", machine, tool: tool.slice(0, MAX_REASON_CHARACTERS) };
    case "agent_too_old":
      return { code: "agent_too_old", machine, reason: said };
    case "invalid_request":
      return { code: "invalid_request", reason: said };
    case "machine_failed":
      return { code: "machine_failed", machine, reason: said, ...(mayHaveRun ? { mayHaveRun: true } : {}) };
    default:
      return null;
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
