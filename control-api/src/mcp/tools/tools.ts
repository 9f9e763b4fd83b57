import { ProtocolError, ProtocolErrorCode, type CallToolResult } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { detailsOf, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { POLL_MS } from "#protocol/limits.ts";
import { isMachineName } from "#protocol/slug.ts";
import { isRecord } from "#protocol/json.ts";
import { note } from "../../audit/note.ts";
import type { Caller } from "../../http/caller.ts";
import type { Env } from "../../env.ts";
import { poll } from "../../events/poll.ts";
import { selectionOf } from "../../events/selection.ts";
import { summaryOf } from "../../machines/machine-summary.ts";
import { detailOf, registryOf } from "../../rest/machines.ts";
import { parseSessionHandle } from "../session-handle.ts";
import type { MachineRecord } from "../../user/registry.ts";
import { callMachine, type OnNotification } from "../machine-call.ts";
import { withSessionHandles } from "../session-result.ts";
import { TOOL_BY_NAME } from "./tool-list.ts";

/** One call of a tool of the unified endpoint. */
export type ToolCall = {
  readonly env: Env;
  readonly caller: Caller;
  readonly name: string;
  readonly args: Record<string, unknown>;
  readonly meta: Record<string, unknown> | undefined;
  readonly progress: boolean;
  readonly signal: AbortSignal;
  readonly onNotification: OnNotification;
};

/** Which method of a machine's server each passed-through tool stands for, and the parameters it takes over. */
const PASSED_THROUGH: ReadonlyMap<string, { method: string; params: readonly string[] }> = new Map([
  ["list_tools", { method: "tools/list", params: ["cursor"] }],
  ["call_tool", { method: "tools/call", params: ["name", "arguments"] }],
  ["list_resources", { method: "resources/list", params: ["cursor"] }],
  ["list_resource_templates", { method: "resources/templates/list", params: ["cursor"] }],
  ["read_resource", { method: "resources/read", params: ["uri"] }],
  ["list_prompts", { method: "prompts/list", params: ["cursor"] }],
  ["get_prompt", { method: "prompts/get", params: ["name", "arguments"] }],
]);

/** Tools whose result names a session that this machine has just made. */
const MAKES_SESSION: ReadonlySet<string> = new Set(["create_session", "fork_session"]);

/** Runs a tool. Failures of ours are results with `isError`, so that the model reads them; only a call that is no call is a JSON-RPC error. */
export async function runTool(call: ToolCall): Promise<CallToolResult> {
  const beganMs = Date.now();
  let outcome = "failed";
  try {
    const result = await run(call);
    outcome = outcomeOf(result);
    return result;
  } finally {
    const { env, caller, name, args } = call;
    const durationMs = Date.now() - beganMs;
    note(env, caller.user, { kind: "call", client: caller.client, machine: machineIn(args), subject: name, args, outcome, durationMs }); // prettier-ignore
  }
}

async function run(call: ToolCall): Promise<CallToolResult> {
  const tool = TOOL_BY_NAME.get(call.name);
  if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${call.name}`);
  try {
    const missing = (tool.inputSchema.required ?? []).find((name) => call.args[name] === undefined);
    if (missing !== undefined) invalid(`${call.name} needs "${missing}".`);
    if (!call.caller.mayAct && tool.annotations?.readOnlyHint !== true)
      throw new OperatorFailure({ code: "forbidden", reason: `This sign-in may only read; ${call.name} does more.` });
    return await dispatch(call);
  } catch (reason) {
    if (reason instanceof OperatorFailure) return failed(reason.error);
    throw reason;
  }
}

/** `ok`, the code of an error of ours, or `error` for one of the machine's tool. */
function outcomeOf({ isError, structuredContent }: CallToolResult): string {
  if (isError !== true) return "ok";
  return OurError.safeParse(structuredContent).data?.error.code ?? "error";
}

const OurError = z.object({ error: z.object({ code: z.string() }) });

/** The machine that a call names, right or wrong, for the audit log. */
function machineIn({ machineId, session_id: session }: Record<string, unknown>): string | null {
  if (typeof machineId === "string") return machineId.slice(0, MAX_NAME);
  return typeof session === "string" ? parseSessionHandle(session).machine : null;
}

/** A name that is none need not be kept whole. */
const MAX_NAME = 64;

function dispatch(call: ToolCall): Promise<CallToolResult> {
  switch (call.name) {
    case "list_machines":
      return listMachines(call);
    case "get_machine":
      return getMachine(call);
    case "poll_events":
      return pollEvents(call);
  }
  const passed = PASSED_THROUGH.get(call.name);
  return passed === undefined ? relay(call) : passThrough(call, passed);
}

async function listMachines({ env, caller }: ToolCall): Promise<CallToolResult> {
  const records: MachineRecord[] = await registryOf(env, caller.user).machines();
  const visible = records.filter(({ name }) => caller.machines?.includes(name) ?? true);
  return structured({ machines: visible.map((record) => summaryOf(record, env)) });
}

async function getMachine(call: ToolCall): Promise<CallToolResult> {
  const machine = machineOf(call);
  const record: MachineRecord | null = await registryOf(call.env, call.caller.user).machine(machine);
  if (record === null) throw new OperatorFailure({ code: "machine_unknown", machine });
  return structured(await detailOf(record, call.env, call.caller.user));
}

async function pollEvents({ env, caller, args }: ToolCall): Promise<CallToolResult> {
  const { result } = await poll(env, {
    user: caller.user,
    cursor: typeof args["cursor"] === "string" ? args["cursor"] : null,
    ...(await selectionOf(env, caller, args["machineId"], args["session_id"])),
    timeoutMs: typeof args["timeout_ms"] === "number" ? args["timeout_ms"] : POLL_MS,
  });
  return structured(result);
}

/** A CodeZ tool: the machine's tool of the same name, with the same arguments but for where. */
async function relay(call: ToolCall): Promise<CallToolResult> {
  const { machineId: _, ...args } = call.args;
  const handle = typeof args["session_id"] === "string" ? parseSessionHandle(args["session_id"]) : null;
  if (handle !== null && handle.machine !== null) args["session_id"] = handle.session;
  const machine = machineOf(call, handle?.machine ?? null);
  const result = await callTool(call, machine, call.name, args);
  return MAKES_SESSION.has(call.name) ? withSessionHandles(result, machine) : result;
}

async function passThrough(
  call: ToolCall,
  { method, params }: { method: string; params: readonly string[] },
): Promise<CallToolResult> {
  const machine = machineOf(call);
  if (method === "tools/call") {
    const { name, arguments: args } = call.args;
    if (typeof name !== "string") invalid(`call_tool needs "name": the tool of the machine's server.`);
    return callTool(call, machine, String(name), isRecord(args) ? args : {});
  }
  const taken = params.flatMap((name) => (call.args[name] === undefined ? [] : [[name, call.args[name]] as const]));
  return structured(await ask(call, machine, method, Object.fromEntries(taken)));
}

async function callTool(
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

/** The machine server's result. Its own JSON-RPC errors are passed on as they are. */
async function ask(
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

/** The machine a call is for: its session handle's, or `machineId`. When both are there they must agree. */
function machineOf({ args, caller, name }: ToolCall, ofHandle: string | null = null): string {
  const given = args["machineId"];
  if (given !== undefined && typeof given !== "string") invalid("machineId is a machine's name, a string.");
  if (ofHandle !== null && typeof given === "string" && given !== ofHandle)
    invalid(`session_id says machine "${ofHandle}", machineId says "${given}". Leave machineId out.`);
  const machine = ofHandle ?? given;
  if (typeof machine !== "string") return invalid(`${name} needs machineId, or a session handle \`<machine>/<id>\`.`);
  if (!isMachineName(machine) || !(caller.machines?.includes(machine) ?? true))
    throw new OperatorFailure({ code: "machine_unknown", machine });
  return machine;
}

/** Our own results, as text for models and as data for programs. */
function structured(content: Record<string, unknown>): CallToolResult {
  return { content: [{ type: "text", text: JSON.stringify(content) }], structuredContent: content };
}

function failed(error: OperatorError): CallToolResult {
  const details = detailsOf(error);
  return {
    isError: true,
    content: [{ type: "text", text: `${error.code}: ${details.message}` }],
    structuredContent: { error: details },
  };
}

function invalid(reason: string): never {
  throw new OperatorFailure({ code: "invalid_request", reason });
}
