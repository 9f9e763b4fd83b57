/** The tools of the public CodeZ project (MIT): their names and parameters, as its clients know them. */
export const CODEZ_TOOLS: Record<
  string,
  { properties: Record<string, { type: string; enum?: string[] }>; required: string[] }
> = {
  list_projects: { properties: {}, required: [] },
  list_sessions: { properties: { slug: { type: "string" } }, required: ["slug"] },
  get_session: {
    properties: { session_id: { type: "string" }, slug: { type: "string" } },
    required: ["session_id", "slug"],
  },
  create_session: {
    properties: {
      slug: { type: "string" },
      cwd: { type: "string" },
      model: { type: "string" },
      permission_mode: { type: "string" },
    },
    required: ["slug", "cwd"],
  },
  send_prompt: {
    properties: {
      session_id: { type: "string" },
      text: { type: "string" },
      cwd: { type: "string" },
      slug: { type: "string" },
    },
    required: ["session_id", "text"],
  },
  send_and_wait: {
    properties: {
      session_id: { type: "string" },
      text: { type: "string" },
      slug: { type: "string" },
      cwd: { type: "string" },
      timeout_ms: { type: "number" },
    },
    required: ["session_id", "text", "slug"],
  },
  abort_session: { properties: { session_id: { type: "string" } }, required: ["session_id"] },
  dispose_session: { properties: { session_id: { type: "string" } }, required: ["session_id"] },
  fork_session: {
    properties: { session_id: { type: "string" }, slug: { type: "string" } },
    required: ["session_id", "slug"],
  },
  respond_permission: {
    properties: {
      session_id: { type: "string" },
      request_id: { type: "string" },
      behavior: { type: "string", enum: ["allow", "deny"] },
    },
    required: ["session_id", "request_id", "behavior"],
  },
  get_project_memory: { properties: { slug: { type: "string" } }, required: ["slug"] },
  search_sessions: { properties: { query: { type: "string" } }, required: ["query"] },
  poll_events: { properties: { session_id: { type: "string" }, timeout_ms: { type: "number" } }, required: [] },
  get_health: { properties: {}, required: [] },
  get_health_details: { properties: {}, required: [] },
  get_state: { properties: {}, required: [] },
  update_state: { properties: { patch: { type: "object" } }, required: ["patch"] },
  get_observability: { properties: {}, required: [] },
};
