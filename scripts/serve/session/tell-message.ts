import { noteWithin } from "#protocol/keep-within.ts";
import type { Part } from "../agent/agent.ts";
import type { EventLog } from "../event-log.ts";
import { clip, showPart } from "./clip.ts";

/** How much of a tool's input or result is included in tool.started and tool.finished. */
const TOOL_PREVIEW_CHARS = 2_000;

/** Limit of remembered tool uses, because some never get a result (an aborted turn). */
const MAX_IN_USE = 1_000;

export interface ToldMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly parts: readonly Part[];
  /** The tool use whose subagent wrote this message. */
  readonly parentToolUse: string | null;
}

/** Writes events about messages, and about the tools that are used in them, into the event log. */
export class MessageTeller {
  readonly #events: EventLog;
  /** Names of tools in use, by the id of their use. A result contains only the id. */
  readonly #inUse = new Map<string, string>();

  constructor(events: EventLog) {
    this.#events = events;
  }

  tell(session: string, { id, role, parts, parentToolUse }: ToldMessage): void {
    const parent = parentToolUse === null ? {} : { parent_tool_use_id: parentToolUse };
    const shown = parts.map((part) => showPart(part));
    this.#events.append("message", session, { message_id: id, role, parts: shown, ...parent });
    for (const part of parts) {
      if (part.type === "tool_use") this.#started(session, part);
      if (part.type === "tool_result") this.#finished(session, part);
    }
  }

  #started(session: string, { id, tool, input }: Extract<Part, { type: "tool_use" }>): void {
    noteWithin(this.#inUse, MAX_IN_USE, id, tool);
    const preview = clip(JSON.stringify(input ?? null), TOOL_PREVIEW_CHARS).text;
    this.#events.append("tool.started", session, { tool_use_id: id, tool, input: preview });
  }

  #finished(session: string, { toolUse, text, isError }: Extract<Part, { type: "tool_result" }>): void {
    const tool = this.#inUse.get(toolUse) ?? null;
    this.#inUse.delete(toolUse);
    const result = clip(text, TOOL_PREVIEW_CHARS).text;
    this.#events.append("tool.finished", session, { tool_use_id: toolUse, tool, is_error: isError, result });
  }
}
