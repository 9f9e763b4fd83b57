import * as z from "zod";
import type { TurnResult } from "../agent/agent.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";
import type { Turn } from "../session/live-session.ts";
import { Attachments, Key, promptOf, SessionId, within } from "./input.ts";

/** Most clients give a call a minute; those that ask for progress give it longer and may ask for more here. */
const WAIT_MS = 50_000;
const MAX_WAIT_MS = 10 * 60_000;

/** Often enough for a client or a relay that gives up on silence. */
const PROGRESS_MS = 10_000;

export function promptTools(machine: Machine): Tool[] {
  const { outcomes, permissions, policy, sessions } = machine;

  async function send(session: string, text: string, attachments?: z.infer<typeof Attachments>) {
    const cwd = await policy.mayDrive((await sessions.where(session)).cwd);
    const nature = await policy.mayPrompt(text, cwd);
    return sessions.prompt(session, promptOf(text, nature, attachments));
  }

  const sendPrompt = defineTool({
    name: "send_prompt",
    title: "Send a prompt",
    description:
      "Send a prompt to a session and return at once; watch it with poll_events. A session at rest is resumed, one " +
      "that is busy takes the prompt after those before it. One that is open in a terminal can't be prompted: fork it.",
    kind: "writes",
    input: z.object({
      session_id: SessionId,
      text: z.string().min(1),
      cwd: z.string().optional().describe("Not needed: a session knows its folder"),
      slug: z.string().optional().describe("Not needed: a session's id is enough"),
      attachments: Attachments.optional(),
      key: Key.optional(),
    }),
    call: async ({ session_id: session, text, attachments, key }) =>
      outcomes.once(key, ["send_prompt", session, text, attachments], async () => {
        const { turn, live } = await send(session, text, attachments);
        const waits = live.queued > 0;
        return {
          session_id: session,
          turn_id: turn.id,
          status: waits ? "queued" : "running",
          queue_length: live.queued,
        };
      }),
  });

  const sendAndWait = defineTool({
    name: "send_and_wait",
    title: "Send a prompt and wait",
    description:
      "Send a prompt and wait for the end of its turn, up to timeout_ms (50 s unless told, 10 min at most). When it " +
      "takes longer the answer says so, with the permission requests that wait for a person; the turn goes on.",
    kind: "writes",
    input: z.object({
      session_id: SessionId,
      text: z.string().min(1),
      slug: z.string().optional(),
      cwd: z.string().optional(),
      timeout_ms: z.number().optional(),
      attachments: Attachments.optional(),
    }),
    call: async ({ session_id: session, text, attachments, timeout_ms: timeoutMs }, { signal, progress }) => {
      const limitMs = within(timeoutMs, WAIT_MS, MAX_WAIT_MS);
      const { turn } = await send(session, text, attachments);
      const heartbeat = setInterval(() => void progress("the turn goes on").catch(() => undefined), PROGRESS_MS);
      try {
        const result = await endOf(turn, limitMs, signal);
        if (result !== null) return { session_id: session, turn_id: turn.id, ...tell(result) };
        const waiting = permissions.pending(session).map((request) => show(request, Date.now()));
        return { session_id: session, turn_id: turn.id, status: "running", permission_requests: waiting };
      } finally {
        clearInterval(heartbeat);
      }
    },
  });

  return [sendPrompt, sendAndWait];
}

function tell({ outcome, text, costUsd }: TurnResult): Record<string, unknown> {
  return { status: outcome, result: text, cost_usd: costUsd };
}

/** `null` when it did not end in time, or nobody waits for it any more. Throws ServeFailure when its agent died. */
async function endOf(turn: Turn, limitMs: number, signal: AbortSignal): Promise<TurnResult | null> {
  let stop: () => void = () => undefined;
  const late = new Promise<null>((resolve) => {
    const timer = setTimeout(() => resolve(null), limitMs);
    const leave = () => resolve(null);
    signal.addEventListener("abort", leave);
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
    };
  });
  try {
    return await Promise.race([turn.done, late]);
  } finally {
    stop();
  }
}
