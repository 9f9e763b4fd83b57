import type { Attachment } from "#protocol/coding-tools/parameter.ts";
import type { Prompt } from "../agent/agent.ts";
import { ServeFailure } from "../error.ts";

/** @param nature the result of `Policy.mayPrompt` for this text. */
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

/** A caller's timeout within bounds. Clients wait a minute or more for an answer; anything longer is better polled. */
export function within(timeoutMs: number | undefined, defaultMs: number, maxMs: number): number {
  if (timeoutMs === undefined) return defaultMs;
  if (!(timeoutMs >= 0))
    throw new ServeFailure({ code: "arguments_invalid", detail: "timeout_ms must not be negative" });
  return Math.min(timeoutMs, maxMs);
}
