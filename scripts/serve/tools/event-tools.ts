import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { POLL_MS } from "#protocol/limits.ts";
import type { ServeEvent } from "../event-log.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { within } from "./input.ts";

export function eventTools({ events, positions }: Machine): Tool[] {
  const poll = defineTool(
    CODING_TOOLS.poll_events,
    async ({ session_id: session = null, timeout_ms: timeoutMs, cursor }, { client, signal }) => {
      const limitMs = within(timeoutMs, 0, POLL_MS);
      const from = cursor === "now" ? events.end : (cursor ?? positions.get(client, session));
      const page = await events.poll(from, session, limitMs, signal);
      // A caller that has left did not get them, and may ask again.
      if (cursor === undefined && !signal.aborted) positions.advance(client, session, page.cursor);
      return { events: page.events.map(tell), cursor: page.cursor, gap: page.gap };
    },
  );
  return [poll];
}

function tell({ id, atMs, type, session, data }: ServeEvent): Record<string, unknown> {
  return { id, at_ms: atMs, type, session_id: session, ...data };
}
