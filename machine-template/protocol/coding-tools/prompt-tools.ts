import * as z from "zod/mini";
import { Answers, MAX_ASK_REASON_CHARACTERS } from "../ask.ts";
import { type CodingTool, READS, RUNS_AGENT } from "./coding-tool.ts";
import { Attachments, Key, Prompt, SessionId, SpareFolder, SpareSlug } from "./parameter.ts";

/**
 * Most clients give up on a call after a minute. Those that receive progress notifications wait longer and may ask for more
 * time.
 */
export const DEFAULT_WAIT_MS = 50_000;
export const MAX_WAIT_MS = 10 * 60_000;

export const send_prompt = {
  name: "send_prompt",
  title: "Send a prompt",
  description:
    "Send a prompt to a session and return immediately. status: `running`, or `queued` behind queue_length turns. An " +
    "`idle` session is resumed. A `mirror` session refuses prompts: call fork_session first. " +
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
    "`failed`; `interrupted`; `waiting`: a person must decide permission_requests, so tell the user; or " +
    "`running` if timeout_ms passed. In the last two the turn goes on: use poll_events, and don't send the prompt again.",
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
    "Allow or deny what a session waits for: a tool use, questions (allow with answers), a plan. Ask the user first. " +
    "Unless the owner enabled this tool it fails, and says where the user can answer. The first answer counts.",
  annotations: { readOnlyHint: false, destructiveHint: true, idempotentHint: true, openWorldHint: true },
  input: z.object({
    session_id: SessionId,
    request_id: z.string().check(z.minLength(1), z.describe("From list_pending or an event.")),
    behavior: z.enum(["allow", "deny"]),
    reason: z.optional(
      z
        .string()
        .check(z.maxLength(MAX_ASK_REASON_CHARACTERS), z.describe("With deny: the explanation that the agent gets.")),
    ),
    answers: z.optional(Answers.check(z.describe("For a question: each question's text and its answer."))),
  }),
} satisfies CodingTool;

export const list_pending = {
  name: "list_pending",
  title: "List what waits for a person",
  description:
    "List what sessions wait for a person to decide: permission requests, questions, plans. Tell the user, who decides on " +
    "Operator's inbox page or with `codez permissions` on the machine.",
  annotations: READS,
  input: z.object({ session_id: z.optional(SessionId) }),
} satisfies CodingTool;
