import type { CallToolResult } from "@modelcontextprotocol/server";
import { CODING_TOOLS as TABLE } from "#protocol/coding-tools.ts";
import { type CodingTool, inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { parseSessionHandle } from "../../machines/session-handle.ts";
import { withSessionHandles } from "../session-result.ts";
import { machineId, machineOfSession, sessionHandle } from "./parameter.ts";
import { callTool } from "./relayed-call.ts";
import { machineOf, type Tool, type ToolCall, type ToolDefinition } from "./tool.ts";

/** All coding tools but `poll_events`: Operator has its own tool of that name, which reads the events of all machines. */
const { poll_events: _ownTool, ...RELAYED } = TABLE;

/**
 * The tools of a coding machine with their own names and parameters, and `machineId` in addition. Each call is relayed to the
 * machine's tool of the same name. The machine validates the arguments, because machines differ in what they require.
 */
export const CODING_TOOLS: readonly Tool[] = Object.values(RELAYED).map((tool) => ({
  definition: definitionOf(tool),
  run: relay,
}));

function definitionOf(tool: CodingTool): ToolDefinition {
  const { name, title, description, annotations } = tool;
  const { type, properties, required } = inputSchemaOf(tool);
  const isAboutSession = "session_id" in properties;
  const inputSchema = isAboutSession
    ? // A handle contains the machine, so machineId is not required.
      { type, properties: { ...properties, session_id: sessionHandle, machineId: machineOfSession }, required }
    : { type, properties: { machineId, ...properties }, required: ["machineId", ...required] };
  return {
    name,
    title,
    description,
    annotations,
    inputSchema: { ...inputSchema, required: [...inputSchema.required] },
  };
}

/** Calls the machine's tool of the same name with the same arguments, without the machine. */
async function relay(call: ToolCall): Promise<CallToolResult> {
  const { machineId: _, ...args } = call.args;
  const handle = typeof args["session_id"] === "string" ? parseSessionHandle(args["session_id"]) : null;
  if (handle !== null && handle.machine !== null) args["session_id"] = handle.session;
  const machine = machineOf(call, handle?.machine ?? null);
  const result = await callTool(call, machine, call.name, args);
  return withSessionHandles(result, machine, call.name, handle?.session ?? null);
}
