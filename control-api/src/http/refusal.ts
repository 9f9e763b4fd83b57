import { errorResponse, type OperatorError } from "#protocol/error.ts";
import { failureResponse } from "#protocol/stand-in.ts";
import { heldBodies, type Sender } from "./held-bodies.ts";
import type { AddressBindings } from "./host.ts";
import { metadataUrlOf } from "./resource-metadata.ts";
import { BASELINE, type Scope } from "./scope.ts";

/** Why an API request could not be attributed to a caller, or is not served although it could. */
export type Refusal =
  | { refused: "no_token" | "bad_token" | "unavailable" | "foreign_origin" | "not_allowed" }
  | { refused: "too_many"; of: "token" | "address" | "open"; afterMs: number }
  | { refused: "budget_spent"; perDay: number; afterMs: number };

/** Seconds after which a client should retry when the token store (AuthKit or our own) did not answer. */
const RETRY_AFTER_S = "5";

/** A refused request's body is read up to this size. Nearly every call is smaller; a larger one is answered without an id. Bytes. */
const READ_FOR_ID_BYTES = 64 * 1024;

/**
 * The answer to a caller that could not be authenticated. It says where to sign in (RFC 6750 section 3, RFC 9728 section 5.1).
 */
export function refuse(refusal: Refusal, url: URL, env: AddressBindings): Response {
  const { refused } = refusal;
  // A request without a token is no incident: clients send one first to find out where to sign in.
  if (refused !== "no_token")
    console.warn("a caller was refused", { why: refused, host: url.host, path: url.pathname });
  switch (refused) {
    case "no_token":
      return errorResponse({ code: "unauthorized" }, { "www-authenticate": challenge(url, env, { scope: BASELINE }) });
    case "bad_token":
      return errorResponse(
        { code: "unauthorized" },
        {
          "www-authenticate": challenge(url, env, {
            error: "invalid_token",
            error_description: "The access token is unknown, expired, revoked, or for another resource",
            scope: BASELINE,
          }),
        },
      );
    case "unavailable":
      return errorResponse({ code: "sign_in_unavailable" }, { "retry-after": RETRY_AFTER_S });
    case "foreign_origin":
      return errorResponse({
        code: "forbidden",
        reason: "A page of another site may not call this Operator without a token.",
      });
    case "not_allowed":
      return errorResponse({ code: "forbidden", reason: "This account may not use this Operator. Ask its operator." });
    case "too_many":
    case "budget_spent":
      return errorResponse(limitError(refusal), retryAfter(refusal));
  }
}

/**
 * The same for an MCP request. A request beyond a limit gets a JSON-RPC error under its own id, because clients show that to the
 * model, which can then wait. Its body is read for the id only if it is small: refusing must stay cheap.
 */
export async function refuseCall(
  refusal: Refusal,
  request: Request,
  sender: Sender,
  url: URL,
  env: AddressBindings,
): Promise<Response> {
  if (!("afterMs" in refusal) || request.method !== "POST") return refuse(refusal, url, env);
  const length = Number(request.headers.get("content-length") ?? Number.NaN);
  const body = length <= READ_FOR_ID_BYTES ? await heldBodies.read(request, READ_FOR_ID_BYTES, sender) : null;
  return refuseRead(refusal, body === null || "missing" in body ? null : body, url, env);
}

/** The same for a request whose body was read. */
export function refuseRead(refusal: Refusal, body: Uint8Array | null, url: URL, env: AddressBindings): Response {
  if (!("afterMs" in refusal)) return refuse(refusal, url, env);
  console.warn("a call was refused by a limit", { why: refusal.refused, host: url.host, path: url.pathname });
  const response = failureResponse(limitError(refusal), body);
  for (const [name, value] of Object.entries(retryAfter(refusal))) response.headers.set(name, value);
  return response;
}

type LimitRefusal = Extract<Refusal, { afterMs: number }>;

function limitError(refusal: LimitRefusal): OperatorError {
  const { afterMs } = refusal;
  return refusal.refused === "too_many"
    ? { code: "too_many_requests", of: refusal.of, afterMs }
    : { code: "budget_spent", perDay: refusal.perDay, afterMs };
}

function retryAfter({ afterMs }: LimitRefusal): { "retry-after": string } {
  return { "retry-after": String(Math.max(1, Math.ceil(afterMs / 1_000))) };
}

/** The answer to a caller whose token lacks a scope. It names every scope that is needed (MCP, "Scope Challenge Handling"). */
export function stepUp(needed: readonly Scope[], url: URL, env: AddressBindings, what: string): Response {
  console.warn("a caller was asked to step up", { needed, host: url.host, path: url.pathname });
  const fields = { error: "insufficient_scope", scope: needed.join(" "), error_description: what };
  return errorResponse({ code: "forbidden", reason: what }, { "www-authenticate": challenge(url, env, fields) });
}

function challenge(url: URL, env: AddressBindings, fields: Record<string, string>): string {
  const all = { resource_metadata: metadataUrlOf(url, env), ...fields };
  return `Bearer ${Object.entries(all)
    .map(([name, value]) => `${name}="${value}"`)
    .join(", ")}`;
}
