import type { ServerContext, Tool as Description } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { argumentProblems, type CodingTool, inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { errorResult, structuredResult, type ToolResult } from "#protocol/tool-result.ts";
import { explain, ServeFailure } from "../error.ts";

/** Who calls, as far as can be told, and how to reach them while the call runs. */
export interface Caller {
  /** The same for all calls of one MCP session, or of one kind of client where there are no sessions. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** Told to a client that asked for progress; to others it goes nowhere. */
  readonly progress: (message: string) => Promise<void>;
}

export interface Tool {
  /** What `tools/list` shows. */
  readonly description: Description;
  /** Throws ServeFailure. */
  readonly call: (input: unknown, caller: Caller) => Promise<Record<string, unknown>>;
}

/** A tool of the shared table with what this machine does for it. */
export function defineTool<Input extends z.ZodMiniObject>(
  tool: CodingTool<Input>,
  call: (input: z.infer<Input>, caller: Caller) => Promise<Record<string, unknown>>,
): Tool {
  const { name, title, description, annotations, input } = tool;
  // The SDK's type of a schema is mutable; nobody changes this one.
  const inputSchema = inputSchemaOf(tool) as Description["inputSchema"];
  return {
    description: { name, title, description, inputSchema, annotations },
    call: async (given, caller) => {
      const parsed = input.safeParse(given ?? {});
      if (parsed.success) return call(parsed.data, caller);
      throw new ServeFailure({ code: "arguments_invalid", detail: argumentProblems(tool, given, parsed.error) });
    },
  };
}

/** The result of a call. A refusal is a result that says what to do; only a fault of serve's own throws. */
export async function answer(tool: Tool, input: unknown, caller: Caller): Promise<ToolResult> {
  try {
    return structuredResult(await tool.call(input, caller));
  } catch (error) {
    if (!(error instanceof ServeFailure)) throw error;
    return errorResult({ ...error.error, ...explain(error.error) });
  }
}

/** Long calls say that they still run, so that a client's patience and a relay's timers last. */
export function progressOf(context: ServerContext): Caller["progress"] {
  const token = context.mcpReq._meta?.progressToken;
  let step = 0;
  return async (message) => {
    if (token === undefined) return;
    step += 1;
    await context.mcpReq.notify({
      method: "notifications/progress",
      params: { progressToken: token, progress: step, message },
    });
  };
}
