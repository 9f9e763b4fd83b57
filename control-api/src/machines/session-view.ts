import type { ListedSession } from "../history/session-query.ts";
import { sessionHandle } from "./session-handle.ts";

/** A session of the index as clients see it, with the names that the machines' own tools use. */
export function indexedSessionView(session: ListedSession): Record<string, unknown> {
  return {
    session_id: sessionHandle(session.machine, session.session),
    machine: session.machine,
    machine_status: session.status,
    slug: session.project,
    cwd: session.cwd,
    title: session.title,
    state: session.machineGone ? "machine_gone" : session.state,
    model: session.agent,
    created_at_ms: session.startedMs,
    updated_at_ms: session.lastMs,
    last_message: session.lastMessage,
    cost_usd: session.costUsd,
  };
}
