import type { Part } from "../agent/agent.ts";

/** Length of a message part in an event or a page: one to three screens. get_session with the handle returns the rest. */
const MAX_PART_CHARS = 16_384;

export interface Clipped {
  readonly text: string;
  /** Length of the whole text, if `text` was shortened. */
  readonly totalChars?: number;
}

export function clip(text: string, limit: number = MAX_PART_CHARS): Clipped {
  if (text.length <= limit) return { text };
  // Never cut between the halves of a surrogate pair.
  const end = isHighSurrogate(text.charCodeAt(limit - 1)) ? limit - 1 : limit;
  return { text: text.slice(0, end), totalChars: text.length };
}

/** A part as tools and events show it. */
export function showPart(part: Part, handle?: string): Record<string, unknown> {
  switch (part.type) {
    case "text":
    case "thinking":
      return { type: part.type, ...showText(part.text, handle) };
    case "tool_use":
      return { type: "tool_use", tool_use_id: part.id, tool: part.tool, ...showInput(part.input, handle) };
    case "tool_result": {
      const { toolUse, isError } = part;
      return { type: "tool_result", tool_use_id: toolUse, is_error: isError, ...showText(part.text, handle) };
    }
    case "image":
      return {
        type: "image",
        media_type: part.mediaType,
        // Its data would be most of a page, so it is read by its handle. A live message has no place in a file yet, so it has none.
        ...(part.data === null || handle === undefined ? {} : { handle, total_chars: part.data.length }),
      };
  }
}

/** The whole text of a part, which a handle refers to. */
export function wholeText(part: Part): string {
  switch (part.type) {
    case "text":
    case "thinking":
    case "tool_result":
      return part.text;
    case "tool_use":
      return JSON.stringify(part.input ?? null);
    case "image":
      return "";
  }
}

function showText(whole: string, handle: string | undefined): Record<string, unknown> {
  const { text, totalChars } = clip(whole);
  return totalChars === undefined ? { text } : { text, truncated: truncation(totalChars, handle) };
}

function showInput(input: unknown, handle: string | undefined): Record<string, unknown> {
  const { text, totalChars } = clip(JSON.stringify(input ?? null));
  return totalChars === undefined ? { input } : { input_start: text, truncated: truncation(totalChars, handle) };
}

function truncation(totalChars: number, handle: string | undefined): Record<string, unknown> {
  return handle === undefined ? { total_chars: totalChars } : { total_chars: totalChars, handle };
}

function isHighSurrogate(code: number): boolean {
  return code >= 0xd800 && code <= 0xdbff;
}
