import type { ServerContext, Tool as Description } from "@modelcontextprotocol/server";
import * as z from "zod/mini";
import { argumentProblems, type CodingTool, inputSchemaOf } from "#protocol/coding-tools/coding-tool.ts";
import { errorResult, structuredResult, type ToolResult } from "#protocol/tool-result.ts";
import { explain, ServeFailure } from "../error.ts";

/** The caller of a tool, as far as it can be identified, and how to send it progress. */
export interface Caller {
  /** The same for all calls of one MCP session, or, without sessions, of all clients with the same name. */
  readonly client: string;
  readonly signal: AbortSignal;
  /** Sends a progress notification, if the client asked for them. */
  readonly progress: (message: string) => Promise<void>;
}

export interface Tool {
  /** The tool as `tools/list` shows it. */
  readonly description: Description;
  /** Throws ServeFailure. */
  readonly call: (input: unknown, caller: Caller) => Promise<Record<string, unknown>>;
}

/** A tool of the shared table together with its implementation on this machine. */
export function defineTool<Input extends z.ZodMiniObject>(
  tool: CodingTool<Input>,
  call: (input: z.infer<Input>, caller: Caller) => Promise<Record<string, unknown>>,
): Tool {
  const { name, title, description, annotations, input } = tool;
  // The SDK's type of a schema is mutable, but nothing changes this one.
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

/** Runs a call and returns its result. A refusal is a result that says what to do. Only a bug in serve throws. */
export async function answer(tool: Tool, input: unknown, caller: Caller): Promise<ToolResult> {
  try {
    return structuredResult(await tool.call(input, caller));
  } catch (error) {
    if (!(error instanceof ServeFailure)) throw error;
    return errorResult({ ...error.error, ...explain(error.error) });
  }
}

/** Progress notifications of long calls, which keep clients and relays from timing out. */
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
