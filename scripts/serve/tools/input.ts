import { randomUUID } from "node:crypto";
import type { Attachment } from "#protocol/coding-tools/parameter.ts";
import type { Prompt } from "../agent/agent.ts";
import { ServeFailure } from "../error.ts";
import type { Turn } from "../session/live-session.ts";

/**
 * @param nature the result of `Policy.mayPrompt` for this text.
 * @param id the prompt's id, where a repeated call must be able to find it.
 */
export function promptOf(
  text: string,
  nature: { isCommand: boolean },
  attachments: readonly Attachment[] = [],
  id: string = randomUUID(),
): Prompt {
  return {
    id,
    text,
    isCommand: nature.isCommand,
    attachments: attachments.map(({ media_type: mediaType, data: content, name }) => ({
      mediaType,
      content,
      name: name ?? null,
    })),
  };
}

/** Tells when a turn is over, or was lost with its agent. */
export function tellEnd(turn: Turn, ended: (how: "over" | "lost") => void): void {
  turn.done.then(
    () => ended("over"),
    () => ended("lost"),
  );
}

/** A caller's timeout within bounds. Clients wait a minute or more for an answer; anything longer is better polled. */
export function within(timeoutMs: number | undefined, defaultMs: number, maxMs: number): number {
  if (timeoutMs === undefined) return defaultMs;
  if (!(timeoutMs >= 0))
    throw new ServeFailure({ code: "arguments_invalid", detail: "timeout_ms must not be negative" });
  return Math.min(timeoutMs, maxMs);
}
