import { isRecord } from "#protocol/json.ts";
import type { MachineEvent } from "../events/poll.ts";
import { arrivedHtml, promptHtml } from "./conversation/conversation.tsx";
import { messageIn } from "./conversation/part.ts";
import type { Heard } from "./event-stream.ts";

/** Characters of one piece of a message that is being written. `codez serve` sends what came in a quarter of a second. */
const MAX_PIECE_CHARACTERS = 4_000;

/**
 * What an open page of a session hears of an event: a message as HTML, a piece of one that is being written as a JSON string, or that the
 * session's state may be another, so that the page looks.
 */
export function heardOf({ type, data, atMs }: MachineEvent, partPath: (handle: string) => string): Heard[] {
  if (type === "message") {
    const message = messageIn(isRecord(data) ? { at_ms: atMs, ...data } : null);
    const html = message === null ? "" : arrivedHtml(message, partPath);
    return html === "" ? [] : [{ event: "message", data: html }];
  }
  if (type === "message.delta") {
    const text = isRecord(data) && typeof data["text"] === "string" ? data["text"].slice(0, MAX_PIECE_CHARACTERS) : "";
    return text === "" ? [] : [{ event: "delta", data: JSON.stringify(text.toWellFormed()) }];
  }
  if (type === "turn.started") {
    const html = promptHtml(isRecord(data) ? data["turn_id"] : null);
    return [...(html === null ? [] : [{ event: "message", data: html }]), { event: "state", data: "" }];
  }
  if (type.startsWith("tool.") || type.startsWith("task.")) return [];
  return [{ event: "state", data: "" }];
}
