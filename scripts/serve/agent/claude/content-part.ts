import * as z from "zod";
import type { Part } from "../agent.ts";
import { isShallow } from "../nesting.ts";

/** Stands for what is nested too deep to be written down. */
const TOO_DEEP = "[nested too deep to be shown]";

const Text = z.object({ type: z.literal("text"), text: z.string() });
const Thinking = z.object({ type: z.literal("thinking"), thinking: z.string() });
const ToolUse = z.object({ type: z.literal("tool_use"), id: z.string(), name: z.string(), input: z.unknown() });
const ToolResult = z.object({
  type: z.literal("tool_result"),
  tool_use_id: z.string(),
  content: z.unknown().optional(),
  is_error: z.boolean().nullish(),
});
const Image = z.object({
  type: z.literal("image"),
  source: z.looseObject({
    type: z.string().optional(),
    media_type: z.string().optional(),
    data: z.string().optional(),
  }),
});
const Block = z.discriminatedUnion("type", [Text, Thinking, ToolUse, ToolResult, Image]);

/** The parts of a message in the Messages API's format, live or from history. Unknown kinds of blocks are left out. */
export function readParts(content: unknown): Part[] {
  if (typeof content === "string") return content === "" ? [] : [{ type: "text", text: content }];
  if (!Array.isArray(content)) return [];
  const blocks = content.flatMap((block: unknown) => Block.safeParse(block).data ?? []);
  // Images of results come last, so that the parts before them keep their numbers, which handles refer to.
  return [...blocks.map(toPart), ...blocks.flatMap(resultImages)];
}

/** Images that a tool gave as its result: a screenshot, a picture that was read. */
function resultImages(block: z.infer<typeof Block>): Part[] {
  if (block.type !== "tool_result" || !Array.isArray(block.content)) return [];
  return block.content.flatMap((one: unknown) => {
    const image = Image.safeParse(one);
    return image.success ? [toPart(image.data)] : [];
  });
}

function toPart(block: z.infer<typeof Block>): Part {
  switch (block.type) {
    case "text":
      return { type: "text", text: block.text };
    case "thinking":
      return { type: "thinking", text: block.thinking };
    case "tool_use":
      return {
        type: "tool_use",
        id: block.id,
        tool: block.name,
        input: isShallow(block.input) ? block.input : TOO_DEEP,
      };
    case "tool_result":
      return {
        type: "tool_result",
        toolUse: block.tool_use_id,
        text: resultText(block.content),
        isError: block.is_error === true,
      };
    case "image":
      return {
        type: "image",
        mediaType: block.source.media_type ?? "image",
        data: block.source.type === "base64" ? (block.source.data ?? null) : null,
      };
  }
}

/** A tool's result as text. It is a string, or a list of blocks of which only the text is shown. */
function resultText(content: unknown): string {
  if (typeof content === "string") return content;
  if (!Array.isArray(content))
    return content === undefined ? "" : isShallow(content) ? JSON.stringify(content) : TOO_DEEP;
  return content
    .map((block: unknown) => {
      const text = Text.safeParse(block);
      return text.success ? text.data.text : `[${kindOf(block)}]`;
    })
    .join("\n");
}

function kindOf(block: unknown): string {
  const kind = z.looseObject({ type: z.string() }).safeParse(block);
  return kind.success ? kind.data.type : "unreadable";
}
