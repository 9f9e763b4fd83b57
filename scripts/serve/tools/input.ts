import * as z from "zod";
import type { Prompt } from "../agent/agent.ts";
import { ServeFailure } from "../error.ts";
import { isSessionId } from "../history/session-file.ts";

export const SessionId = z.string().refine(isSessionId, "not a session's id").describe("As list_sessions gives it");

export const Key = z
  .string()
  .min(1)
  .max(200)
  .describe("A name you make up for this call: repeated with the same key it is not done twice");

export const Attachments = z
  .array(
    z.object({
      media_type: z.string().regex(/^(image\/(png|jpeg|gif|webp)|application\/pdf|text\/[\w.+-]+)$/),
      data: z.base64(),
      name: z.string().max(200).optional(),
    }),
  )
  .max(20)
  .describe("Images, PDFs and text files that belong to the prompt; `data` is base64");

/** @param nature what `Policy.mayPrompt` said of the text. */
export function promptOf(
  text: string,
  nature: { isCommand: boolean },
  attachments: z.infer<typeof Attachments> = [],
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
