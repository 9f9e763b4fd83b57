import * as z from "zod";

/**
 * The lines that Claude Code writes with `--output-format stream-json`, as far as serve needs them. The schemas are loose, because
 * a newer version may add fields and kinds. Unknown ones are ignored.
 */
const Block = z.looseObject({ type: z.string() });
const Content = z.union([z.string(), z.array(Block)]);

export const StreamMessage = z.discriminatedUnion("type", [
  z.object({
    type: z.literal("assistant"),
    uuid: z.string(),
    parent_tool_use_id: z.string().nullish(),
    message: z.object({ content: Content }),
  }),
  z.object({
    type: z.literal("user"),
    uuid: z.string().optional(),
    parent_tool_use_id: z.string().nullish(),
    isReplay: z.boolean().optional(),
    message: z.object({ content: Content }),
  }),
  z.object({ type: z.literal("command_lifecycle"), command_uuid: z.string(), state: z.string() }),
  z.object({
    type: z.literal("stream_event"),
    parent_tool_use_id: z.string().nullish(),
    event: z.looseObject({
      type: z.string(),
      delta: z.looseObject({ type: z.string().optional(), text: z.string().optional() }).optional(),
    }),
  }),
  z.object({
    type: z.literal("system"),
    subtype: z.string(),
    model: z.string().optional(),
    task_id: z.string().optional(),
    description: z.string().optional(),
    status: z.string().nullish(),
    summary: z.string().optional(),
  }),
  z.object({
    type: z.literal("result"),
    is_error: z.boolean(),
    result: z.string().optional(),
    errors: z.array(z.string()).optional(),
    total_cost_usd: z.number().optional(),
    terminal_reason: z.string().optional(),
  }),
  z.object({
    type: z.literal("control_request"),
    request_id: z.string(),
    request: z.looseObject({
      subtype: z.string(),
      tool_name: z.string().optional(),
      tool_use_id: z.string().optional(),
      input: z.record(z.string(), z.unknown()).optional(),
      decision_reason: z.string().optional(),
      blocked_path: z.string().optional(),
      permission_suggestions: z.array(z.unknown()).optional(),
    }),
  }),
  z.object({ type: z.literal("control_cancel_request"), request_id: z.string() }),
  z.object({
    type: z.literal("control_response"),
    response: z.looseObject({ subtype: z.string(), request_id: z.string(), error: z.string().optional() }),
  }),
]);
export type StreamMessage = z.infer<typeof StreamMessage>;

/** Parses one line of output; `null` for a kind that serve does not need. Throws on a line that is not JSON. */
export function parseStreamLine(line: string): StreamMessage | null {
  const parsed = StreamMessage.safeParse(JSON.parse(line));
  return parsed.success ? parsed.data : null;
}
