import type { CallToolResult } from "@modelcontextprotocol/server";
import { isRecord, parseJson } from "#protocol/json.ts";
import { sessionHandle } from "../machines/session-handle.ts";

/** The names under which agents give the id of a session they made. */
const ID_KEYS = ["session_id", "sessionId", "id"];

/**
 * A result that names a new session, with its id in the form `<machine>/<id>`: in the structured content and in text
 * that is JSON. What names no session is left as it is.
 */
export function withSessionHandles(result: CallToolResult, machine: string): CallToolResult {
  if (result.isError === true) return result;
  const content = result.content?.map((block) => {
    if (block.type !== "text") return block;
    const value = parseJson(block.text);
    const handled = withHandle(value, machine);
    return handled === value ? block : { ...block, text: JSON.stringify(handled) };
  });
  const structuredContent = withHandle(result.structuredContent, machine);
  return {
    ...result,
    ...(content === undefined ? {} : { content }),
    ...(isRecord(structuredContent) ? { structuredContent } : {}),
  };
}

function withHandle(value: unknown, machine: string): unknown {
  if (!isRecord(value)) return value;
  const key = ID_KEYS.find((one) => typeof value[one] === "string");
  if (key !== undefined) return { ...value, [key]: sessionHandle(machine, String(value[key])) };
  // Some agents wrap it: { session: { id } }.
  return isRecord(value["session"]) ? { ...value, session: withHandle(value["session"], machine) } : value;
}
