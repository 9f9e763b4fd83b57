import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import type { Attachment } from "#protocol/coding-tools/parameter.ts";
import { DEFAULT_WAIT_MS, MAX_WAIT_MS } from "#protocol/coding-tools/prompt-tools.ts";
import type { TurnResult } from "../agent/agent.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { show } from "../permission/book.ts";
import type { Turn } from "../session/live-session.ts";
import { wasTaken } from "../history/taken-prompt.ts";
import { promptOf, tellEnd, within } from "./input.ts";

/** How often progress is sent: often enough for clients and relays that give up on a silent call. */
const PROGRESS_MS = 10_000;

export function promptTools(machine: Machine): Tool[] {
  const { outcomes, permissions, policy, projectsFolder, sessions } = machine;

  async function send(session: string, text: string, attachments?: readonly Attachment[], id?: string) {
    const cwd = await policy.mayDrive((await sessions.where(session)).cwd);
    const nature = await policy.mayPrompt(text, cwd);
    return sessions.prompt(session, promptOf(text, nature, attachments, id));
  }

  const sendPrompt = defineTool(CODING_TOOLS.send_prompt, async ({ session_id: session, text, attachments, key }) =>
    outcomes.once(key, ["send_prompt", session, text, attachments], {
      run: async (ids, ended) => {
        const { turn, live } = await send(session, text, attachments, ids.turn);
        tellEnd(turn, ended);
        const waits = live.queued > 0;
        return {
          session_id: session,
          turn_id: turn.id,
          status: waits ? "queued" : "running",
          queue_length: live.queued,
        };
      },
      // A prompt that was in the queue when serve ended is sent now. One that the agent had taken is not.
      recall: async ({ turn }) => {
        const isTaken = await wasTaken(projectsFolder, session, turn);
        return isTaken ? { session_id: session, turn_id: turn, status: "taken", queue_length: 0 } : null;
      },
    }),
  );

  const sendAndWait = defineTool(
    CODING_TOOLS.send_and_wait,
    async ({ session_id: session, text, attachments, timeout_ms: timeoutMs }, { signal, progress }) => {
      const limitMs = within(timeoutMs, DEFAULT_WAIT_MS, MAX_WAIT_MS);
      const { turn } = await send(session, text, attachments);
      const heartbeat = setInterval(
        () => void progress("the turn is still running").catch(() => undefined),
        PROGRESS_MS,
      );
      try {
        const result = await endOf(turn, limitMs, signal, (wake) => {
          // The prompt may be queued behind a turn that waits already.
          if (permissions.pending(session).length > 0) wake();
          return permissions.subscribe((request) => {
            if (request.session === session) wake();
          });
        });
        if (result !== null) return { session_id: session, turn_id: turn.id, ...tell(result) };
        const waiting = permissions.pending(session).map((request) => show(request, Date.now()));
        const status = waiting.length > 0 ? "waiting" : "running";
        return { session_id: session, turn_id: turn.id, status, permission_requests: waiting };
      } finally {
        clearInterval(heartbeat);
      }
    },
  );

  return [sendPrompt, sendAndWait];
}

function tell({ outcome, text, costUsd }: TurnResult): Record<string, unknown> {
  return { status: outcome, result: text, cost_usd: costUsd };
}

/**
 * The turn's result; `null` when it did not end in time, the caller has disconnected, or a person has to decide something first.
 * Throws ServeFailure when its agent died.
 */
async function endOf(
  turn: Turn,
  limitMs: number,
  signal: AbortSignal,
  whenAsked: (wake: () => void) => () => void,
): Promise<TurnResult | null> {
  let stop: () => void = () => undefined;
  const late = new Promise<null>((resolve) => {
    const leave = () => resolve(null);
    const timer = setTimeout(leave, limitMs);
    signal.addEventListener("abort", leave);
    const unsubscribe = whenAsked(leave);
    stop = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", leave);
      unsubscribe();
    };
  });
  try {
    return await Promise.race([turn.done, late]);
  } finally {
    stop();
  }
}
