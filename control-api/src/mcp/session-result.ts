import type { CallToolResult } from "@modelcontextprotocol/server";
import { isRecord } from "#protocol/json.ts";
import { handlesInJson, handlesInProse, handlesInValue } from "../machines/session-ids.ts";

/** Tools whose answer is a session that the machine has just created. A plain `id` in that answer is the session's. */
const MAKES_SESSION: ReadonlySet<string> = new Set(["create_session", "fork_session"]);

/** Tools whose answer is a document that clients wrote. They must get it back unchanged. */
const OF_CLIENTS: ReadonlySet<string> = new Set(["get_state", "update_state"]);

/**
 * Replaces every session id in a coding tool's result by the handle `<machine>/<id>`: in structured content, in text that is
 * JSON, and in an error's message. `asked` is the id that the call contained. Nothing else is changed.
 */
export function withSessionHandles(
  result: CallToolResult,
  machine: string,
  tool: string,
  asked: string | null,
): CallToolResult {
  if (OF_CLIENTS.has(tool)) return result;
  const isError = result.isError === true;
  const isSession = MAKES_SESSION.has(tool) && !isError;
  const found = new Set(asked === null ? [] : [asked]);
  const { structuredContent } = result;
  // First the structured content: the ids found in it are then recognised in prose, too.
  const structured =
    structuredContent === undefined ? undefined : handlesInValue(structuredContent, machine, found, isSession);
  const prose = (text: string): string => (isError ? handlesInProse(text, machine, found) : text);
  const content = result.content?.map((block) => {
    if (block.type !== "text") return block;
    const text = prose(handlesInJson(block.text, machine, isSession));
    return text === block.text ? block : { ...block, text };
  });
  return {
    ...result,
    ...(content === undefined ? {} : { content }),
    ...(isRecord(structured) ? { structuredContent: withMessage(structured, prose) } : {}),
  };
}

/** Applies the same replacement to the message in an error's structured content. */
function withMessage(structured: Record<string, unknown>, prose: (text: string) => string): Record<string, unknown> {
  const { error } = structured;
  if (!isRecord(error) || typeof error["message"] !== "string") return structured;
  return { ...structured, error: { ...error, message: prose(error["message"]) } };
}
