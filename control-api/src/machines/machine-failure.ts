import type { OperatorError } from "#protocol/error.ts";
import { ERROR_HEADER } from "#protocol/error.ts";
import { parseJson } from "#protocol/json.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import * as z from "zod/mini";
import { textWithin } from "../http/text-within.ts";

/** An error with its evidence has a few hundred bytes, and a reason of a few thousand characters at most. */
const MAX_FAILURE_BYTES = 64 * 1024;

/** Operator's errors as they appear in a response: REST's `{ error }`, or the `data` of a JSON-RPC error. */
const Details = z.looseObject({ code: z.string() });
const Body = z.union([z.object({ error: z.object({ data: Details }) }), z.object({ error: Details })]);

/** The last time that a date can show (ECMAScript, "Time Values and Time Range"). */
const LAST_DATE_MS = 8.64e15;

/** Renamed because the linter mistakes a call of `z.catch` for a promise's `catch`. */
const { catch: withDefault } = z;

/** The fields of all errors. A field that is missing or malformed gets its default, so that one bad field does not hide the error. */
const Evidence = z.looseObject({
  reason: withDefault(z.optional(z.string()), undefined),
  lastSeenMs: withDefault(z.nullable(z.int().check(z.nonnegative(), z.lte(LAST_DATE_MS))), null),
  afterMs: withDefault(z.int(), 0),
  limit: withDefault(z.int(), 0),
  tool: withDefault(z.string(), ""),
  mayHaveRun: withDefault(z.boolean(), false),
  counts: withDefault(z.optional(z.enum(["calls", "sessions"])), undefined),
});

/** Whether a response was made by Operator in place of the machine's own. */
export function isFailure(response: Response): boolean {
  return response.headers.has(ERROR_HEADER);
}

/**
 * The error in a response of a machine's script or the dispatch Worker; `machine` is the name that its owner uses. A response that
 * is not one of Operator's errors does not say whether the call ran, so the result has `mayHaveRun: true`.
 */
export async function failureIn(response: Response, machine: string): Promise<OperatorError> {
  const text = (await textWithin(response, MAX_FAILURE_BYTES)) ?? "an answer that is too large for an error";
  const details = detailsIn(text);
  const ours = failureOf(details, machine);
  if (ours !== null) return ours;
  const said = Evidence.parse(details ?? {}).reason ?? `HTTP ${response.status}: ${text}`;
  return { code: "machine_failed", machine, reason: said.slice(0, MAX_REASON_CHARACTERS), mayHaveRun: true };
}

/**
 * Reads an error from `details` (the `data` of a JSON-RPC error, or REST's `error`) and puts in the name that the machine's owner
 * uses. Answers `null` if it is not an error of the path to a machine. A hostile machine may have forged it, so each field is
 * copied only with the right type and a bounded length, and the machine's name is never taken from it.
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
  if (!body.success) return null; // not one of Operator's errors; the caller shows its text unchanged
  const { error } = body.data;
  return "data" in error && Details.safeParse(error.data).success
    ? Details.parse(error.data)
    : (Details.safeParse(error).data ?? null);
}
