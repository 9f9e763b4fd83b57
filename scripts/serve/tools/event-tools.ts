import * as z from "zod";
import type { ServeEvent } from "../event-log.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { SessionId, within } from "./input.ts";

/** Under the half minute after which proxies take silence for death. */
const MAX_POLL_MS = 25_000;

export function eventTools({ events, positions }: Machine): Tool[] {
  const poll = defineTool({
    name: "poll_events",
    title: "Poll for events",
    description:
      "What happened in the sessions of this machine, or in one. Give the `cursor` of the last answer to go on from " +
      "there; without one you get what you were not given yet. Nothing is taken from other pollers. With nothing new " +
      "it waits up to timeout_ms (25 s at most; 0, the default, answers at once). `gap` says that older events are " +
      "gone: read get_session.",
    kind: "reads",
    input: z.object({
      session_id: SessionId.optional(),
      timeout_ms: z.number().optional(),
      cursor: z.string().optional().describe("From an earlier answer; `now` skips what was before"),
    }),
    call: async ({ session_id: session = null, timeout_ms: timeoutMs, cursor }, { client, signal }) => {
      const limitMs = within(timeoutMs, 0, MAX_POLL_MS);
      const from = cursor === "now" ? events.end : (cursor ?? positions.get(client, session));
      const page = await events.poll(from, session, limitMs, signal);
      // A caller that has left did not get them, and may ask again.
      if (cursor === undefined && !signal.aborted) positions.advance(client, session, page.cursor);
      return { events: page.events.map(tell), cursor: page.cursor, gap: page.gap };
    },
  });
  return [poll];
}

function tell({ id, atMs, type, session, data }: ServeEvent): Record<string, unknown> {
  return { id, at_ms: atMs, type, session_id: session, ...data };
}
