import type { OperatorError } from "#protocol/error.ts";

/** A content type without a charset, or with UTF-8 as its last parameter and no other. Without spaces, in lower case. */
const UTF_8 = /^(?:(?!charset).)*(?:;charset="?utf-?8"?)?$/;

/**
 * Why a request to a machine is refused for its text encoding; `null` if it may pass. MCP's messages are UTF-8 (MCP, "Transports"), but many
 * servers decode whatever `charset` names. A request in another encoding is one thing to them and another to whoever reads it on the way:
 * the check of answers to permission requests, and the audit log.
 */
export function encodingRefusal(headers: Headers): OperatorError | null {
  const type = headers.get("content-type");
  if (type === null || UTF_8.test(type.toLowerCase().replaceAll(/\s/g, ""))) return null;
  return {
    code: "invalid_request",
    reason: "MCP messages are UTF-8: send content-type application/json without another charset.",
  };
}
