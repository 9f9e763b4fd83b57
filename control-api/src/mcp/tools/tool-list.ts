import type { Tool } from "@modelcontextprotocol/server";
import { CODEZ_TOOLS } from "./codez-tools.ts";

export type ToolDefinition = Tool & Required<Pick<Tool, "description" | "annotations">>;

const machineId = { type: "string", description: "The machine's name, from list_machines." };
const cursor = { type: "string", description: "To go on where a list that was cut left off: its nextCursor." };

const READ = { readOnlyHint: true, openWorldHint: false };

function list(name: string, what: string): ToolDefinition {
  const description = `List the ${what} of a machine's MCP server.`;
  return {
    name,
    description,
    annotations: READ,
    inputSchema: { type: "object", properties: { machineId, cursor }, required: ["machineId"] },
  };
}

/** Operator's own tools. */
const OPERATOR_TOOLS: readonly ToolDefinition[] = [
  {
    name: "list_machines",
    description:
      "List your machines: which are online, what computers they are, which repositories they have. Every other tool takes a machine's name as machineId.",
    annotations: READ,
    inputSchema: { type: "object", properties: {} },
  },
  {
    name: "get_machine",
    description: "Look at one machine closely: presence, hardware, repositories, agent, the sessions it told of.",
    annotations: READ,
    inputSchema: { type: "object", properties: { machineId }, required: ["machineId"] },
  },
  {
    name: "poll_events",
    description:
      "Read what happened on your machines since a cursor, and wait for something if nothing did: sessions' messages and tool uses, permission requests, machines coming and going. Pass the returned cursor next time. Without a cursor: the newest events, or with session_id all that is kept of that session. Polling consumes nothing.",
    annotations: READ,
    inputSchema: {
      type: "object",
      properties: {
        session_id: {
          type: "string",
          description: "Only this session: a handle `<machine>/<id>`, or a bare id together with machineId.",
        },
        timeout_ms: {
          type: "number",
          description:
            "How long to wait when there is nothing yet, in milliseconds; at most 25000, which is the default.",
        },
        cursor: { type: "string", description: "The cursor that the last poll returned." },
        machineId: { type: "string", description: "Only this machine." },
      },
    },
  },
  list("list_tools", "tools"),
  {
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
  list("list_resources", "resources"),
  list("list_resource_templates", "resource templates"),
  {
    name: "read_resource",
    description: "Read a resource of a machine's MCP server.",
    annotations: READ,
    inputSchema: { type: "object", properties: { machineId, uri: { type: "string" } }, required: ["machineId", "uri"] },
  },
  list("list_prompts", "prompts"),
  {
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
];

/** All tools of the unified endpoint: the same bytes for everybody, whatever is online. Clients cache this for a day. */
export const TOOLS: readonly ToolDefinition[] = [...OPERATOR_TOOLS, ...CODEZ_TOOLS];

/** By name. */
export const TOOL_BY_NAME: ReadonlyMap<string, ToolDefinition> = new Map(TOOLS.map((tool) => [tool.name, tool]));
