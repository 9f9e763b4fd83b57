import type { CallToolResult } from "@modelcontextprotocol/server";
import { machineId } from "./parameter.ts";
import { isRecord } from "#protocol/json.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import { ask, callTool } from "./relayed-call.ts";
import { invalid, machineOf, type Tool, type ToolCall } from "./tool.ts";

const cursor = { type: "string", description: "The previous answer's nextCursor." };

/** The machine's server may read from anywhere. Its own annotations say whether a tool does. */
const READS_ANYTHING = { readOnlyHint: true, destructiveHint: false, openWorldHint: true };

/** MCP's own methods as tools. With them a client reaches any MCP server on any machine, not only coding machines. */
export const PASSED_THROUGH_TOOLS: readonly Tool[] = [
  list(
    "list_tools",
    "List a server's tools",
    "tools/list",
    "List the tools of the machine's MCP server with their input schemas, for call_tool. Not needed for the coding " +
      "tools listed here.",
  ),
  {
    definition: {
      name: "call_tool",
      title: "Call a server's tool",
      description:
        "Call any tool of the machine's MCP server by its name from list_tools. The result is passed on " +
        "unchanged: session ids in it are the machine's own, without the machine's name.",
      annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: false, openWorldHint: true },
      inputSchema: {
        type: "object",
        properties: {
          machineId,
          name: { type: "string", description: "The tool's name." },
          arguments: { type: "object", description: "The tool's arguments; list_tools has their schema." },
        },
        required: ["machineId", "name"],
      },
    },
    run: callAnyTool,
  },
  list(
    "list_resources",
    "List a server's resources",
    "resources/list",
    "List the resources of the machine's MCP server, for read_resource.",
  ),
  list(
    "list_resource_templates",
    "List a server's resource templates",
    "resources/templates/list",
    "List the URI templates of the machine's MCP server, to fill in for read_resource.",
  ),
  {
    definition: {
      name: "read_resource",
      title: "Read a server's resource",
      description: "Read a resource of the machine's MCP server.",
      annotations: READS_ANYTHING,
      inputSchema: {
        type: "object",
        properties: {
          machineId,
          uri: {
            type: "string",
            description: "From list_resources or a filled template.",
          },
        },
        required: ["machineId", "uri"],
      },
    },
    run: (call) => passThrough(call, "resources/read", ["uri"]),
  },
  list(
    "list_prompts",
    "List a server's prompts",
    "prompts/list",
    "List the prompt templates of the machine's MCP server with their arguments, for get_prompt.",
  ),
  {
    definition: {
      name: "get_prompt",
      title: "Get a server's prompt",
      description:
        "Fill in a prompt template of the machine's MCP server and get its messages. Runs nothing: to prompt a coding " +
        "session use send_prompt.",
      annotations: READS_ANYTHING,
      inputSchema: {
        type: "object",
        properties: {
          machineId,
          name: { type: "string", description: "The prompt's name, from list_prompts." },
          arguments: {
            type: "object",
            additionalProperties: { type: "string" },
            description: "Its arguments.",
          },
        },
        required: ["machineId", "name"],
      },
    },
    run: (call) => passThrough(call, "prompts/get", ["name", "arguments"]),
  },
];

function list(name: string, title: string, method: string, description: string): Tool {
  return {
    definition: {
      name,
      title,
      description,
      annotations: READS_ANYTHING,
      inputSchema: { type: "object", properties: { machineId, cursor }, required: ["machineId"] },
    },
    run: (call) => passThrough(call, method, ["cursor"]),
  };
}

/** Sends `method` with those of `parameters` that the call has, and returns the server's result. */
async function passThrough(call: ToolCall, method: string, parameters: readonly string[]): Promise<CallToolResult> {
  const machine = machineOf(call);
  const given = parameters.flatMap((name) => (call.args[name] === undefined ? [] : [[name, call.args[name]] as const]));
  return structuredResult(await ask(call, machine, method, Object.fromEntries(given)));
}

function callAnyTool(call: ToolCall): Promise<CallToolResult> {
  const machine = machineOf(call);
  const { name, arguments: args } = call.args;
  if (typeof name !== "string") return invalid(`call_tool needs "name": the name of a tool from list_tools.`);
  return callTool(call, machine, name, isRecord(args) ? args : {});
}
