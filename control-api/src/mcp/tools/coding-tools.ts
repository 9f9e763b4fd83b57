import type { CallToolResult } from "@modelcontextprotocol/server";
import { CODING_TOOLS as TABLE } from "#protocol/coding-tools.ts";
import { type CodingTool, inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { parseSessionHandle } from "../../machines/session-handle.ts";
import { withSessionHandles } from "../session-result.ts";
import { machineId, machineOfSession, sessionHandle } from "./parameter.ts";
import { callTool } from "./relayed-call.ts";
import { machineOf, type Tool, type ToolCall, type ToolDefinition } from "./tool.ts";

/** Reading events of all machines at once is Operator's own tool of that name. */
const { poll_events: _ownTool, ...RELAYED } = TABLE;

/**
 * The tools of a coding machine by their own names and parameters, with `machineId` to say where. Each is relayed to the
 * machine's tool of the same name, which checks the arguments: machines differ in what they need.
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
    ? // A handle says the machine, so that machineId can be left out.
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

/** The machine's tool of the same name is called with the same arguments, apart from those that say where. */
async function relay(call: ToolCall): Promise<CallToolResult> {
  const { machineId: _, ...args } = call.args;
  const handle = typeof args["session_id"] === "string" ? parseSessionHandle(args["session_id"]) : null;
  if (handle !== null && handle.machine !== null) args["session_id"] = handle.session;
  const machine = machineOf(call, handle?.machine ?? null);
  const result = await callTool(call, machine, call.name, args);
  return withSessionHandles(result, machine, call.name, handle?.session ?? null);
}
