import type { ServerContext, Tool as Description } from "@modelcontextprotocol/server";
import * as z from "zod";
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
  readonly description: Description;
  /** Throws ServeFailure. */
  readonly call: (input: unknown, caller: Caller) => Promise<Record<string, unknown>>;
}

export interface ToolDefinition<Input extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly input: Input;
  readonly kind: "reads" | "writes" | "destroys";
  readonly call: (input: z.infer<Input>, caller: Caller) => Promise<Record<string, unknown>>;
}

export function defineTool<Input extends z.ZodObject>(definition: ToolDefinition<Input>): Tool {
  const { name, title, description, input, kind } = definition;
  const { properties, required } = z.toJSONSchema(input, { io: "input" });
  const annotations = {
    title,
    readOnlyHint: kind === "reads",
    destructiveHint: kind === "destroys",
    openWorldHint: false,
  };
  const inputSchema = { type: "object" as const, properties: asProperties(properties), required: required ?? [] };
  return {
    description: { name, title, description, inputSchema, annotations },
    call: async (raw, caller) => {
      const parsed = input.safeParse(raw ?? {});
      if (!parsed.success) {
        throw new ServeFailure({ code: "arguments_invalid", detail: `${name}: ${z.prettifyError(parsed.error)}` });
      }
      return definition.call(parsed.data, caller);
    },
  };
}

/** What zod makes is JSON; its types allow for less (`true` for a property). */
function asProperties(properties: unknown): NonNullable<Description["inputSchema"]["properties"]> {
  return (properties ?? {}) as NonNullable<Description["inputSchema"]["properties"]>;
}

export interface ToolAnswer {
  [key: string]: unknown;
  content: { type: "text"; text: string }[];
  structuredContent: Record<string, unknown>;
  isError?: boolean;
}

/** The answer of a call; a refusal is an answer too, which says what to do, and only a fault of serve's own throws. */
export async function answer(tool: Tool, input: unknown, caller: Caller): Promise<ToolAnswer> {
  try {
    return wrap(await tool.call(input, caller));
  } catch (error) {
    if (!(error instanceof ServeFailure)) throw error;
    return { ...wrap({ error: { ...error.error, ...explain(error.error) } }), isError: true };
  }
}

function wrap(structuredContent: Record<string, unknown>): ToolAnswer {
  return { content: [{ type: "text", text: JSON.stringify(structuredContent) }], structuredContent };
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
