import type { CallToolResult } from "@modelcontextprotocol/server";
import { isRecord } from "#protocol/json.ts";
import { handlesInJson, handlesInProse, handlesInValue } from "../machines/session-ids.ts";

/** Tools whose answer is a session that the machine has just made, so that a bare `id` in it is that session's. */
const MAKES_SESSION: ReadonlySet<string> = new Set(["create_session", "fork_session"]);

/** Tools whose answer is a document that belongs to clients. It must be read back as it was written. */
const OF_CLIENTS: ReadonlySet<string> = new Set(["get_state", "update_state"]);

/**
 * The result of a coding tool with a handle `<machine>/<id>` wherever it has a session's id: in structured content, in
 * text that is JSON, and in an error's message. `asked` is the id that the call named. Everything else is left as it is.
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
  // Before the texts, whose prose may name the ids that it finds.
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

/** The message in the structured content of an error says the same as the text. */
function withMessage(structured: Record<string, unknown>, prose: (text: string) => string): Record<string, unknown> {
  const { error } = structured;
  if (!isRecord(error) || typeof error["message"] !== "string") return structured;
  return { ...structured, error: { ...error, message: prose(error["message"]) } };
}
