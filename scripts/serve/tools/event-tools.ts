import { CODING_TOOLS } from "#protocol/coding-tools.ts";
import { DELTA_SUFFIX } from "#protocol/event.ts";
import { POLL_MS } from "#protocol/limits.ts";
import type { ServeEvent } from "../event-log.ts";
import type { Machine } from "../machine.ts";
import { defineTool, type Tool } from "../mcp/tool.ts";
import { within } from "./input.ts";

export function eventTools({ events, positions }: Machine): Tool[] {
  const poll = defineTool(
    CODING_TOOLS.poll_events,
    // Everything by default: a program that polls this computer's own server pays nothing for a poll.
    async ({ session_id: session = null, timeout_ms: timeoutMs, detail = "deltas", cursor }, { client, signal }) => {
      const untilMs = performance.now() + within(timeoutMs, 0, POLL_MS);
      const from = cursor === "now" ? events.end : (cursor ?? positions.get(client, session));
      const read = (after: string) => events.poll(after, session, Math.max(0, untilMs - performance.now()), signal);
      let page = await read(from);
      const isWanted = ({ type }: ServeEvent): boolean => detail === "deltas" || !type.endsWith(DELTA_SUFFIX);
      let { gap } = page;
      while (page.events.length > 0 && !page.events.some(isWanted) && performance.now() < untilMs && !signal.aborted) {
        page = await read(page.cursor);
        gap ||= page.gap;
      }
      // A caller that has disconnected did not get the events, so its position must not advance.
      if (cursor === undefined && !signal.aborted) positions.advance(client, session, page.cursor);
      return { events: page.events.filter(isWanted).map(tell), cursor: page.cursor, gap };
    },
  );
  return [poll];
}

function tell({ id, atMs, type, session, data }: ServeEvent): Record<string, unknown> {
  return { id, at_ms: atMs, type, session_id: session, ...data };
}
