import type { CodingTool } from "./coding-tools/coding-tool.ts";
import { poll_events } from "./coding-tools/event-tools.ts";
import {
  get_health,
  get_health_details,
  get_observability,
  get_state,
  update_state,
} from "./coding-tools/machine-tools.ts";
import { get_project_memory, list_projects } from "./coding-tools/project-tools.ts";
import { list_pending, respond_permission, send_and_wait, send_prompt } from "./coding-tools/prompt-tools.ts";
import {
  abort_session,
  create_session,
  dispose_session,
  fork_session,
  get_changes,
  get_session,
  list_sessions,
  search_sessions,
} from "./coding-tools/session-tools.ts";

/**
 * The tools of a coding machine: one table for `codez serve`, which implements them, and for the unified endpoint, which adds
 * `machineId`. Names and parameters are those of the public CodeZ project; we add parameters and never rename any. Both
 * endpoints list the same tools whatever is configured or online, because clients cache the list for a day.
 */
export const CODING_TOOLS = {
  list_projects,
  list_sessions,
  get_session,
  get_changes,
  search_sessions,
  get_project_memory,
  create_session,
  send_prompt,
  send_and_wait,
  poll_events,
  respond_permission,
  list_pending,
  abort_session,
  dispose_session,
  fork_session,
  get_health,
  get_health_details,
  get_observability,
  get_state,
  update_state,
} as const satisfies Record<string, CodingTool>;
