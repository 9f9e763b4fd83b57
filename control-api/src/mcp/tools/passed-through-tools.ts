import type { CallToolResult } from "@modelcontextprotocol/server";
import { isRecord } from "#protocol/json.ts";
import { ask, callTool } from "./relayed-call.ts";
import { invalid, machineOf, structured, type Tool, type ToolCall } from "./tool.ts";

const machineId = { type: "string", description: "The machine's name, from list_machines." };
const cursor = { type: "string", description: "To go on where a list that was cut left off: its nextCursor." };

const READ = { readOnlyHint: true, openWorldHint: false };

/** The methods of MCP as tools: they reach any MCP server on any machine, whatever it is. */
export const PASSED_THROUGH_TOOLS: readonly Tool[] = [
  list("list_tools", "tools", "tools/list"),
  {
    definition: {
      name: "call_tool",
      description:
        "Call a tool of a machine's MCP server, whatever server that is. list_tools says which there are. The result is the server's own.",
      annotations: { readOnlyHint: false, destructiveHint: true, openWorldHint: true },
      inputSchema: {
        type: "object",
        properties: {
          machineId,
          name: { type: "string", description: "The tool." },
          arguments: { type: "object", description: "Its arguments." },
        },
        required: ["machineId", "name"],
      },
    },
    run: callAnyTool,
  },
  list("list_resources", "resources", "resources/list"),
  list("list_resource_templates", "resource templates", "resources/templates/list"),
  {
    definition: {
      name: "read_resource",
      description: "Read a resource of a machine's MCP server.",
      annotations: READ,
      inputSchema: {
        type: "object",
        properties: { machineId, uri: { type: "string" } },
        required: ["machineId", "uri"],
      },
    },
    run: (call) => passThrough(call, "resources/read", ["uri"]),
  },
  list("list_prompts", "prompts", "prompts/list"),
  {
    definition: {
      name: "get_prompt",
      description: "Get a prompt of a machine's MCP server.",
      annotations: READ,
      inputSchema: {
        type: "object",
        properties: {
          machineId,
          name: { type: "string" },
          arguments: { type: "object", additionalProperties: { type: "string" } },
        },
        required: ["machineId", "name"],
      },
    },
    run: (call) => passThrough(call, "prompts/get", ["name", "arguments"]),
  },
];

function list(name: string, what: string, method: string): Tool {
  return {
    definition: {
      name,
      description: `List the ${what} of a machine's MCP server.`,
      annotations: READ,
      inputSchema: { type: "object", properties: { machineId, cursor }, required: ["machineId"] },
    },
    run: (call) => passThrough(call, method, ["cursor"]),
  };
}

/** Sends `method` with those of `parameters` that the call gives. The result is the server's own. */
async function passThrough(call: ToolCall, method: string, parameters: readonly string[]): Promise<CallToolResult> {
  const machine = machineOf(call);
  const given = parameters.flatMap((name) => (call.args[name] === undefined ? [] : [[name, call.args[name]] as const]));
  return structured(await ask(call, machine, method, Object.fromEntries(given)));
}

function callAnyTool(call: ToolCall): Promise<CallToolResult> {
  const machine = machineOf(call);
  const { name, arguments: args } = call.args;
  if (typeof name !== "string") return invalid(`call_tool needs "name": the tool of the machine's server.`);
  return callTool(call, machine, name, isRecord(args) ? args : {});
}
