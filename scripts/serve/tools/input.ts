import type { Attachment } from "#protocol/coding-tools/parameter.ts";
import type { Prompt } from "../agent/agent.ts";
import { ServeFailure } from "../error.ts";

/** @param nature what `Policy.mayPrompt` said of the text. */
export function promptOf(
  text: string,
  nature: { isCommand: boolean },
  attachments: readonly Attachment[] = [],
): Prompt {
  return {
    text,
    isCommand: nature.isCommand,
    attachments: attachments.map(({ media_type: mediaType, data: content, name }) => ({
      mediaType,
      content,
      name: name ?? null,
    })),
  };
}

/** A client's own limit on an answer is a minute or more; what is longer is what polling is for. */
export function within(timeoutMs: number | undefined, defaultMs: number, maxMs: number): number {
  if (timeoutMs === undefined) return defaultMs;
  if (!(timeoutMs >= 0)) throw new ServeFailure({ code: "arguments_invalid", detail: "timeout_ms is below zero" });
  return Math.min(timeoutMs, maxMs);
}
