import * as z from "zod/mini";
import { type CodingTool, RUNS_AGENT } from "./coding-tool.ts";
import { Attachments, Key, Prompt, SessionId, SpareFolder, SpareSlug } from "./parameter.ts";

/**
 * Most clients give up on a call after a minute. Those that receive progress notifications wait longer and may ask for more
 * time.
 */
export const DEFAULT_WAIT_MS = 50_000;
export const MAX_WAIT_MS = 10 * 60_000;

const MAX_REASON_CHARACTERS = 2_000;

export const send_prompt = {
  name: "send_prompt",
  title: "Send a prompt",
  description:
    "Send a prompt to a session and return immediately. status: `running` = its turn has started; `queued` = it waits " +
    "behind queue_length turns. An `idle` session is resumed. A `mirror` session refuses prompts: call fork_session first. " +
    "Follow the turn with poll_events until session.idle. For a short turn use send_and_wait.",
  annotations: RUNS_AGENT,
  input: z.object({
    session_id: SessionId,
    text: Prompt,
    attachments: Attachments,
    key: Key,
    cwd: SpareFolder,
    slug: SpareSlug,
  }),
} satisfies CodingTool;

export const send_and_wait = {
  name: "send_and_wait",
  title: "Send a prompt and wait",
  description:
    "Send a prompt to a session and wait until its turn ends. status: `done`, with the agent's final message in result; " +
    "`failed`; `interrupted`; or `running` if timeout_ms passed first. In that case the turn continues and " +
    "permission_requests lists what it waits for: follow it with poll_events, and don't send the prompt again.",
  annotations: RUNS_AGENT,
  input: z.object({
    session_id: SessionId,
    text: Prompt,
    timeout_ms: z.optional(
      z.number().check(z.describe(`How long to wait, in ms. Default ${DEFAULT_WAIT_MS}, at most ${MAX_WAIT_MS}.`)),
    ),
    attachments: Attachments,
    slug: SpareSlug,
    cwd: SpareFolder,
  }),
} satisfies CodingTool;

export const respond_permission = {
  name: "respond_permission",
  title: "Answer a permission request",
  description:
    "Allow or deny a tool use for which a session needs approval. Ask the user first. Unless the machine's owner enabled " +
    "this tool it fails with approval_is_local: then ask the user to run `codez permissions` on that machine. " +
    "The first answer counts; repeating it is harmless.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    session_id: SessionId,
    request_id: z
      .string()
      .check(z.minLength(1), z.describe("From a permission.requested event, get_session or send_and_wait.")),
    behavior: z.enum(["allow", "deny"]),
    reason: z.optional(
      z
        .string()
        .check(z.maxLength(MAX_REASON_CHARACTERS), z.describe("With deny: the explanation that the agent gets.")),
    ),
  }),
} satisfies CodingTool;
