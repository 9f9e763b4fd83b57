import type { CallToolResult } from "@modelcontextprotocol/server";
import { parseSessionHandle } from "../../machines/session-handle.ts";
import { withSessionHandles } from "../session-result.ts";
import { callTool } from "./relayed-call.ts";
import { machineOf, type Tool, type ToolCall, type ToolDefinition } from "./tool.ts";

/**
 * The tools of a CodeZ machine, by CodeZ's own names and parameters, each with a `machineId` that says where. They are
 * relayed to the machine's tool of the same name. Parameters may be added over time; none is ever renamed.
 */

const slug = { type: "string", description: "Project, as list_projects names it." };
const cwd = { type: "string", description: "Absolute path of the project's folder on that machine." };
const text = { type: "string", description: "The prompt." };
const machineId = { type: "string", description: "The machine's name, from list_machines." };
const session_id = {
  type: "string",
  description:
    "The session: a handle `<machine>/<id>` as create_session gives it, or a bare id together with machineId.",
};
const sessionMachineId = {
  type: "string",
  description: "The machine's name; not needed when session_id is a handle `<machine>/<id>`.",
};

const READ = { readOnlyHint: true, openWorldHint: false };
const ACT = { readOnlyHint: false, destructiveHint: false, openWorldHint: true };
const RUN = { readOnlyHint: false, destructiveHint: true, openWorldHint: true };

/** A tool about a machine. */
function onMachine(
  name: string,
  description: string,
  annotations: ToolDefinition["annotations"],
  properties: Record<string, object> = {},
  required: string[] = [],
): ToolDefinition {
  return {
    name,
    description,
    annotations,
    inputSchema: { type: "object", properties: { machineId, ...properties }, required: ["machineId", ...required] },
  };
}

/** A tool about a session, whose handle says the machine. */
function onSession(
  name: string,
  description: string,
  annotations: ToolDefinition["annotations"],
  properties: Record<string, object> = {},
  required: string[] = [],
): ToolDefinition {
  const inputSchema = {
    type: "object" as const,
    properties: { session_id, ...properties, machineId: sessionMachineId },
    required: ["session_id", ...required],
  };
  return { name, description, annotations, inputSchema };
}

const DEFINITIONS: readonly ToolDefinition[] = [
  onMachine("list_projects", "List the coding projects on a machine, with slugs and session counts.", READ),
  onMachine("list_sessions", "List the sessions of a project on a machine.", READ, { slug }, ["slug"]),
  onSession("get_session", "Read a session: its messages and what happened in it.", READ, { slug }, ["slug"]),
  onMachine(
    "create_session",
    "Start a coding session on a machine. Answers with the session's handle `<machine>/<id>`; then send_prompt and poll_events with it.",
    RUN,
    {
      slug,
      cwd,
      model: { type: "string", description: "Model for the session; the machine's default if left out." },
      permission_mode: {
        type: "string",
        description: "How far the session may go without asking; the machine's own policy is the limit.",
      },
    },
    ["slug", "cwd"],
  ),
  onSession(
    "send_prompt",
    "Send a prompt to a session and return at once. Watch it with poll_events.",
    RUN,
    { text, cwd, slug },
    ["text"],
  ),
  onSession(
    "send_and_wait",
    "Send a prompt to a session and wait for the end of its turn.",
    RUN,
    { text, slug, cwd, timeout_ms: { type: "number", description: "How long to wait, in milliseconds." } },
    ["text", "slug"],
  ),
  onSession("abort_session", "Stop the turn a session is at. The session stays.", ACT),
  onSession("dispose_session", "End a session's live process. Its history stays.", RUN),
  onSession(
    "fork_session",
    "Begin a new session that continues from this one's history. Answers with the new handle.",
    ACT,
    { slug },
    ["slug"],
  ),
  onSession(
    "respond_permission",
    "Answer a session's permission request. Machines refuse this by default: a person answers at the machine, unless its owner allowed this.",
    RUN,
    {
      request_id: { type: "string", description: "The request's id, from its permission.requested event." },
      behavior: { type: "string", enum: ["allow", "deny"] },
    },
    ["request_id", "behavior"],
  ),
  onMachine("get_project_memory", "Read the memory files an agent keeps for a project.", READ, { slug }, ["slug"]),
  onMachine(
    "search_sessions",
    "Search what was said in all sessions on a machine.",
    READ,
    { query: { type: "string" } },
    ["query"],
  ),
  onMachine("get_health", "Ask whether a machine's agent runtime is well.", READ),
  onMachine("get_health_details", "Ask what is wrong with a machine's agent runtime, and what to run there.", READ),
  onMachine("get_state", "Read a machine's application state (markers, preferences).", READ),
  onMachine(
    "update_state",
    "Change a machine's application state.",
    ACT,
    { patch: { type: "object", description: "What to change." } },
    ["patch"],
  ),
  onMachine("get_observability", "Read what a machine's sessions cost, by day, project and model.", READ),
];

export const CODING_TOOLS: readonly Tool[] = DEFINITIONS.map((definition) => ({ definition, run: relay }));

/** Tools whose result names a session that this machine has just made. */
const MAKES_SESSION: ReadonlySet<string> = new Set(["create_session", "fork_session"]);

/** The machine's tool of the same name is called with the same arguments, apart from those that say where. */
async function relay(call: ToolCall): Promise<CallToolResult> {
  const { machineId: _, ...args } = call.args;
  const handle = typeof args["session_id"] === "string" ? parseSessionHandle(args["session_id"]) : null;
  if (handle !== null && handle.machine !== null) args["session_id"] = handle.session;
  const machine = machineOf(call, handle?.machine ?? null);
  const result = await callTool(call, machine, call.name, args);
  return MAKES_SESSION.has(call.name) ? withSessionHandles(result, machine) : result;
}
