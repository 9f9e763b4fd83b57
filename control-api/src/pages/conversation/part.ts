import { isRecord } from "#protocol/json.ts";
import { MAX_IMAGE_CHARACTERS } from "./image.ts";

/** Parts of one message that are shown. A model's turn has a handful; a hostile machine may send any number. */
const MAX_PARTS = 60;

/** Ids become ids of elements. Longer ones, or with other characters, are not Claude Code's. */
const ID = /^[\w-]{1,128}$/;

/** A part of a message, as far as it can be shown. Everything in it is the machine's word. */
export type Part =
  | {
      readonly kind: "text" | "thinking";
      readonly text: string;
      readonly handle: string | null;
      readonly total: number | null;
    }
  | { readonly kind: "call"; readonly id: string | null; readonly tool: string; readonly input: unknown }
  | {
      readonly kind: "result";
      readonly of: string | null;
      readonly text: string;
      readonly isError: boolean;
      readonly handle: string | null;
      readonly total: number | null;
    }
  | { readonly kind: "image"; readonly type: string; readonly handle: string | null };

/** A message of a conversation. `id` is `null` if it has none that can be an element's. */
export type Message = {
  readonly id: string | null;
  readonly isUser: boolean;
  readonly isAside: boolean;
  readonly atMs: number | null;
  readonly parts: readonly Part[];
  /** Parts beyond `MAX_PARTS`. */
  readonly left: number;
  /** Whether it has just come, and its machine may not have written it to the transcript yet. */
  readonly isLive?: true;
};

/** Reads a message as `get_session` and the event `message` have it. `null` if there is nothing in it to show. */
export function messageIn(told: unknown): Message | null {
  if (!isRecord(told)) return null;
  const given = Array.isArray(told["parts"]) ? (told["parts"] as unknown[]) : [{ type: "text", text: told["text"] }]; // as the public CodeZ has it
  const parts = given.slice(0, MAX_PARTS).flatMap(partIn);
  if (parts.length === 0) return null;
  const at = told["at_ms"];
  return {
    id: idIn(told["message_id"] ?? told["id"]),
    isUser: told["role"] === "user" && parts.some(({ kind }) => kind === "text" || kind === "image"),
    isAside: told["aside"] === true || typeof told["parent_tool_use_id"] === "string",
    atMs: typeof at === "number" && Number.isFinite(at) ? at : null,
    parts,
    left: Math.max(0, given.length - MAX_PARTS),
  };
}

function partIn(told: unknown): Part[] {
  if (!isRecord(told)) return [];
  const text = typeof told["text"] === "string" ? told["text"] : "";
  switch (told["type"]) {
    case "text":
    case "thinking":
      return text.trim() === "" ? [] : [{ kind: told["type"], text, ...truncationIn(told) }];
    case "tool_use": {
      const input = told["input"] ?? told["input_start"] ?? null;
      return [{ kind: "call", id: idIn(told["tool_use_id"]), tool: nameIn(told["tool"]), input }];
    }
    case "tool_result": {
      const [of, isError] = [idIn(told["tool_use_id"]), told["is_error"] === true];
      return [{ kind: "result", of, text, isError, ...truncationIn(told) }];
    }
    case "image":
      return [{ kind: "image", type: nameIn(told["media_type"]), handle: imageHandleIn(told) }];
    default:
      return [];
  }
}

function truncationIn({ truncated }: Record<string, unknown>): { handle: string | null; total: number | null } {
  if (!isRecord(truncated)) return { handle: null, total: null };
  const { handle, total_chars: total } = truncated;
  return {
    handle: handleIn(handle),
    total: typeof total === "number" && Number.isSafeInteger(total) ? total : null,
  };
}

/** `null` as well for an image that is too large to be shown. */
function imageHandleIn({ handle, total_chars: total }: Record<string, unknown>): string | null {
  return typeof total === "number" && total <= MAX_IMAGE_CHARACTERS ? handleIn(handle) : null;
}

function handleIn(handle: unknown): string | null {
  return typeof handle === "string" && /^\d{1,15}\.\d{1,6}$/.test(handle) ? handle : null;
}

/** An id that can be an element's; `null` for any other value. */
export function idIn(value: unknown): string | null {
  return typeof value === "string" && ID.test(value) ? value : null;
}

function nameIn(value: unknown): string {
  return typeof value === "string" && value !== "" ? value.slice(0, 100) : "unknown";
}
