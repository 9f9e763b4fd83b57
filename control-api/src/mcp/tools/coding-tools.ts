import type { CallToolResult } from "@modelcontextprotocol/server";
import { CODING_TOOLS as TABLE } from "#protocol/coding-tools.ts";
import { type CodingTool, inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { detailsOf, OperatorFailure } from "#protocol/error.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import type { ListedSession } from "../../history/session-query.ts";
import { parseSessionHandle } from "../../machines/session-handle.ts";
import { indexedSessionView } from "../../machines/session-view.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { DELIVERY_PARAMETERS, deliverCall, isDelivered, isLeftToMachine } from "./delivery-tools.ts";
import { machineId, machineOfSession, sessionHandle } from "./parameter.ts";
import { relayAndLearn } from "./session-relay.ts";
import { isAway } from "./session-tools.ts";
import { promptWithForms } from "./prompt-with-forms.ts";
import { machineOf, type Tool, type ToolCall, type ToolDefinition, type ToolOutcome } from "./tool.ts";

/** All coding tools but those of which Operator has its own, which work over all machines. */
const {
  poll_events: _events,
  list_sessions: _list,
  search_sessions: _search,
  list_pending: _pending,
  ...RELAYED
} = TABLE;

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
  const { type, properties: own, required } = inputSchemaOf(tool);
  const properties = "key" in own ? { ...own, ...DELIVERY_PARAMETERS } : own;
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
async function relay(call: ToolCall): Promise<ToolOutcome> {
  const { machineId: _, ...args } = call.args;
  const handle = typeof args["session_id"] === "string" ? parseSessionHandle(args["session_id"]) : null;
  if (handle !== null && handle.machine !== null) args["session_id"] = handle.session;
  const machine = machineOf(call, handle?.machine ?? null);
  if (isDelivered(call) && !(await isLeftToMachine(call, machine))) return deliverCall(call, machine, args);
  delete args["on_offline"];
  delete args["ttl_ms"];
  if (call.name === TABLE.send_and_wait.name && handle !== null)
    return promptWithForms(call, machine, args, handle.session);
  try {
    return await relayAndLearn(call, machine, args, handle?.session ?? null);
  } catch (reason) {
    const known = await lastSeen(call, machine, handle?.session ?? null, reason);
    if (known === null) throw reason;
    return known;
  }
}

/** For `get_session` of a machine that cannot be asked: what was seen of the session before, and why there is no more. */
async function lastSeen(
  { name, args, env, caller }: ToolCall,
  machine: string,
  session: string | null,
  reason: unknown,
): Promise<CallToolResult | null> {
  if (name !== "get_session" || session === null || args["handle"] !== undefined) return null;
  if (!(reason instanceof OperatorFailure) || !isAway(reason.error.code)) return null;
  const found: ListedSession | null = await registryOf(env, caller.user).session(caller.machines, machine, session);
  if (found === null) return null;
  const note =
    found.status === "gone"
      ? "This machine was removed. This is what its events told of the session; its messages are not kept here."
      : "This machine cannot be asked now. This is what its events told of the session. Its messages can be read when it is back.";
  return structuredResult({
    session: indexedSessionView(found),
    messages: [],
    note,
    unreachable: detailsOf(reason.error),
  });
}
