import { ProtocolError, type CallToolResult } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { OperatorFailure } from "#protocol/error.ts";
import { callMachine } from "../machine-call.ts";
import type { ToolCall } from "./tool.ts";

/** The result of a tool of a machine's MCP server, as that server gave it. */
export async function callTool(
  call: ToolCall,
  machine: string,
  name: string,
  args: Record<string, unknown>,
): Promise<CallToolResult> {
  const params = { name, arguments: args, ...(call.meta === undefined ? {} : { _meta: call.meta }) };
  const result = await ask(call, machine, "tools/call", params, name);
  if (saysUnknownTool(result)) throw new OperatorFailure({ code: "tool_unknown", machine, tool: name });
  // The result is the machine's own, of whatever revision; it is passed on, not understood.
  return result as CallToolResult;
}

/** The result of a method of a machine's MCP server. The server's own JSON-RPC errors are passed on as they are. */
export async function ask(
  call: ToolCall,
  machine: string,
  method: string,
  params: Record<string, unknown>,
  tool?: string,
): Promise<Record<string, unknown>> {
  const request = { method, params, progress: call.progress };
  const answer = await callMachine(call.env, call.caller.user, machine, request, call.signal, call.onNotification);
  if ("result" in answer) return answer.result;
  const { code, message, data } = answer.error;
  if (tool !== undefined && UNKNOWN_TOOL.test(message))
    throw new OperatorFailure({ code: "tool_unknown", machine, tool });
  throw new ProtocolError(code, message, data);
}

/** How servers say it; the specification gives the code (-32602) but shares it with every other bad parameter. */
const UNKNOWN_TOOL = /unknown tool|tool\b.*\bnot found|no such tool/i;

const TextError = z.object({
  isError: z.literal(true),
  content: z.tuple([z.object({ type: z.literal("text"), text: z.string() })]),
});

/** The 2025 SDKs answer a call of an unknown tool with a result. */
function saysUnknownTool(result: Record<string, unknown>): boolean {
  const error = TextError.safeParse(result);
  return (
    error.success &&
    error.data.content[0].text.startsWith("MCP error -32602") &&
    UNKNOWN_TOOL.test(error.data.content[0].text)
  );
}
