import { isInputRequiredResult, ProtocolError, ProtocolErrorCode } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { missingArgument } from "#protocol/coding-tools/coding-tool.ts";
import { detailsOf, MAX_MACHINES_NAMED, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { isRecord } from "#protocol/json.ts";
import { errorResult } from "#protocol/tool-result.ts";
import { ofUnifiedTool } from "../../audit/asked.ts";
import { noteCall } from "../../audit/note.ts";
import { isRestart, reread } from "../../http/object-restart.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { parseSessionHandle } from "../../machines/session-handle.ts";
import { TOOL_BY_NAME } from "./tool-list.ts";
import { invalid, type ToolCall, type ToolDefinition, type ToolOutcome } from "./tool.ts";

/**
 * Runs a tool and records the call in the audit log. Operator's own failures are returned as results with `isError`, because
 * clients show those to the model. Throws `ProtocolError` for a tool that does not exist, and for JSON-RPC errors of the
 * machine's own server.
 */
export function runTool(call: ToolCall): Promise<ToolOutcome> {
  const { env, caller, name, args, digest } = call;
  const [machine, asked] = [machineIn(args), ofUnifiedTool(name, args)];
  const running = run(call);
  const noted = () => ({ ...asked, client: caller.client, machine, digest: digest() });
  noteCall(env, caller.user, running, outcomeOf, noted);
  return running;
}

async function run(call: ToolCall): Promise<ToolOutcome> {
  const tool = TOOL_BY_NAME.get(call.name);
  if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${call.name}`);
  const { inputSchema, annotations } = tool.definition;
  const isRead = annotations?.readOnlyHint === true;
  try {
    const missing = (inputSchema.required ?? []).find((name) => call.args[name] === undefined);
    if (missing !== undefined) invalid(missingArgument(call.name, missing, descriptionOf(inputSchema, missing)));
    if (!call.caller.mayAct && !isRead)
      throw new OperatorFailure({
        code: "forbidden",
        reason: `This token may only read, and ${call.name} does more than that.`,
      });
    return await (isRead ? reread(() => tool.run(call)) : tool.run(call));
  } catch (reason) {
    if (reason instanceof OperatorFailure) return errorResult(detailsOf(await withMachines(reason.error, call)));
    if (!isRead || !isRestart(reason)) throw reason;
    console.error("an object was restarted twice during a call", { tool: call.name, reason: String(reason) });
    return errorResult(detailsOf({ code: "internal" }));
  }
}

function descriptionOf({ properties = {} }: ToolDefinition["inputSchema"], name: string): string | undefined {
  const property = properties[name];
  return isRecord(property) && typeof property["description"] === "string" ? property["description"] : undefined;
}

/**
 * Adds to an unknown machine's error the names of the machines that this caller may use, so that a model can correct a
 * misspelt name.
 */
async function withMachines(error: OperatorError, { env, caller }: ToolCall): Promise<OperatorError> {
  if (error.code !== "machine_unknown") return error;
  const all: string[] = await registryOf(env, caller.user).machineNames();
  const names = all.filter((name) => caller.machines?.includes(name) ?? true);
  return { ...error, machines: names.slice(0, MAX_MACHINES_NAMED), machineCount: names.length };
}

/** For the audit log: `ok`, the code of an error of Operator's, or `error` for an error of the machine's tool. */
function outcomeOf(result: ToolOutcome): string {
  if (isInputRequiredResult(result) || result.isError !== true) return "ok";
  return OurError.safeParse(result.structuredContent).data?.error.code ?? "error";
}

const OurError = z.object({ error: z.object({ code: z.string() }) });

/** The machine that a call names, for the audit log, whether it exists or not. */
function machineIn({ machineId, session_id: session }: Record<string, unknown>): string | null {
  if (typeof machineId === "string") return machineId.slice(0, MAX_NAME_CHARACTERS);
  return typeof session === "string" ? parseSessionHandle(session).machine : null;
}

/** Twice the longest valid name. Enough to recognise what the caller meant, without storing arbitrary text. */
const MAX_NAME_CHARACTERS = 64;
