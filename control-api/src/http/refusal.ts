import { errorResponse } from "#protocol/error.ts";
import type { AddressBindings } from "./host.ts";
import { metadataUrlOf } from "./resource-metadata.ts";
import { BASELINE, type Scope } from "./scope.ts";

/** Why an API request could not be attributed to a caller. */
export type Refusal = { refused: "no_token" | "bad_token" | "unavailable" | "foreign_origin" | "not_allowed" };

/** Seconds after which a client should retry when the token store (AuthKit or our own) did not answer. */
const RETRY_AFTER_S = "5";

/**
 * The answer to a caller that could not be authenticated. It says where to sign in (RFC 6750 section 3, RFC 9728 section 5.1).
 */
export function refuse({ refused }: Refusal, url: URL, env: AddressBindings): Response {
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
  }
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
