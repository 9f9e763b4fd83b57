import type { CallToolResult, InputRequiredResult, Tool as Definition } from "@modelcontextprotocol/server";
import { OperatorFailure } from "#protocol/error.ts";
import { isMachineName } from "#protocol/slug.ts";
import type { Caller } from "../../http/caller.ts";
import type { Elicit } from "../../elicitation/elicit.ts";
import type { Env } from "../../env.ts";
import type { HeldAnswers } from "../../http/large-answers.ts";
import type { OnNotification } from "../machine-call.ts";

/** A tool as `tools/list` shows it. */
export type ToolDefinition = Definition & Required<Pick<Definition, "title" | "description" | "annotations">>;

/** One call of a tool of the unified endpoint. */
export type ToolCall = {
  readonly env: Env;
  readonly caller: Caller;
  /** SHA-256 of the request's body, for the audit log; `null` when the body was not read as a whole. */
  readonly digest: () => string | null;
  readonly name: string;
  readonly args: Record<string, unknown>;
  readonly meta: Record<string, unknown> | undefined;
  readonly progress: boolean;
  readonly signal: AbortSignal;
  readonly onNotification: OnNotification;
  /** Called with the machine that the call is for, once it is known: then nothing else of what the caller may reach matters for it. */
  readonly concerns?: (machine: string) => void;
  /** How the client can put a form to its person; absent if it cannot. */
  readonly elicit?: Elicit;
  /** The largest answer of a machine, where many are asked at once; otherwise `MAX_ANSWER_BYTES`. */
  readonly answerBytes?: number;
  /** Where machines' large answers are counted until the client has got them; absent if they are not passed on as they are. */
  readonly held?: HeldAnswers;
};

/** What a tool answers: a result, or what it has to ask the client's person first. */
export type ToolOutcome = CallToolResult | InputRequiredResult;

/** A tool of the unified endpoint. `run` throws `OperatorFailure` when Operator, and not the machine's server, fails the call. */
export type Tool = {
  readonly definition: ToolDefinition;
  readonly run: (call: ToolCall) => Promise<ToolOutcome>;
};

/** The machine that a call is for: the one in its session handle, or `machineId`. If both are given they must agree. */
export function machineOf({ args, caller, name, concerns }: ToolCall, ofHandle: string | null = null): string {
  const given = args["machineId"];
  if (given !== undefined && typeof given !== "string") invalid("machineId must be a machine's name, as a string.");
  if (ofHandle !== null && typeof given === "string" && given !== ofHandle)
    invalid(`session_id says machine "${ofHandle}", machineId says "${given}". Leave machineId out.`);
  const machine = ofHandle ?? given;
  if (typeof machine !== "string") return invalid(`${name} needs machineId, or a session handle \`<machine>/<id>\`.`);
  if (!isMachineName(machine) || !(caller.machines?.includes(machine) ?? true))
    throw new OperatorFailure({ code: "machine_unknown", machine });
  concerns?.(machine);
  return machine;
}

export function invalid(reason: string): never {
  throw new OperatorFailure({ code: "invalid_request", reason });
}
