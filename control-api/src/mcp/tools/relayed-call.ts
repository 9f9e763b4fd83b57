import { ProtocolError, type CallToolResult } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { OperatorFailure } from "#protocol/error.ts";
import { ANSWERS_PERMISSION } from "../../audit/asked.ts";
import { checkApproval } from "../../machines/approval.ts";
import { callMachine } from "../machine-call.ts";
import type { ToolCall } from "./tool.ts";

/** Calls a tool of a machine's MCP server and returns the server's result unchanged. */
export async function callTool(
  call: ToolCall,
  machine: string,
  name: string,
  args: Record<string, unknown>,
): Promise<CallToolResult> {
  if (name === ANSWERS_PERMISSION) await checkApproval(call.env, call.caller.user, machine);
  const params = { name, arguments: args, ...(call.meta === undefined ? {} : { _meta: call.meta }) };
  const result = await ask(call, machine, "tools/call", params, name);
  if (saysUnknownTool(result)) throw new OperatorFailure({ code: "tool_unknown", machine, tool: name });
  // The result may be of any revision of MCP. It is passed on without being interpreted.
  return result as CallToolResult;
}

/** Calls a method of a machine's MCP server and returns its result. The server's own JSON-RPC errors are passed on unchanged. */
export async function ask(
  call: ToolCall,
  machine: string,
  method: string,
  params: Record<string, unknown>,
  tool?: string,
): Promise<Record<string, unknown>> {
  const request = { method, params, progress: call.progress };
  const { env, caller, signal, onNotification, answerBytes, held } = call;
  const limits = {
    ...(answerBytes === undefined ? {} : { limitBytes: answerBytes }),
    ...(held === undefined ? {} : { held }),
  };
  const answer = await callMachine(env, caller.user, machine, request, signal, onNotification, limits);
  if ("result" in answer) return answer.result;
  const { code, message, data } = answer.error;
  if (tool !== undefined && isOfUnknownTool(message))
    throw new OperatorFailure({ code: "tool_unknown", machine, tool });
  throw new ProtocolError(code, message, data);
}

/**
 * Messages with which servers report an unknown tool. The specification's code for it (-32602) also stands for every other
 * invalid parameter.
 */
const UNKNOWN_TOOL = /unknown tool|tool\b.*\bnot found|no such tool/i;

/**
 * Characters of a message that are looked at. Such messages are a sentence. To look through one of megabytes, in which each word is "tool", would
 * take hours.
 */
const MAX_LOOKED_AT = 1_000;

function isOfUnknownTool(message: string): boolean {
  return UNKNOWN_TOOL.test(message.slice(0, MAX_LOOKED_AT));
}

const TextError = z.object({
  isError: z.literal(true),
  content: z.tuple([z.object({ type: z.literal("text"), text: z.string() })]),
});

/** Whether a result reports an unknown tool. The SDKs of 2025 answer such a call with a result instead of an error. */
function saysUnknownTool(result: Record<string, unknown>): boolean {
  const error = TextError.safeParse(result);
  return (
    error.success &&
    error.data.content[0].text.startsWith("MCP error -32602") &&
    isOfUnknownTool(error.data.content[0].text)
  );
}
