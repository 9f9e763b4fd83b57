/** Everything for which a tool call can be refused or fail. Each case carries its evidence. */
export type ServeError =
  | { code: "project_unknown"; project: string }
  | { code: "project_not_allowed"; folder: string }
  | { code: "folder_missing"; folder: string }
  | { code: "session_unknown"; session: string }
  | { code: "session_mirrored"; session: string; pid: number }
  | { code: "session_ended"; session: string; lastOutput: string }
  | { code: "too_many_sessions"; limit: number }
  | { code: "queue_full"; session: string; limit: number }
  | { code: "read_only" }
  | { code: "permission_mode_unknown"; mode: string; known: readonly string[] }
  | { code: "permission_mode_not_allowed"; mode: string; highest: string }
  | { code: "command_not_allowed"; command: string }
  | { code: "mention_outside"; path: string; folder: string }
  | { code: "approval_is_local"; request: string; config: string }
  | { code: "request_unknown"; request: string }
  | { code: "request_settled"; request: string; decision: string; by: string; atMs: number }
  | { code: "pages_not_allowed"; request: string; config: string }
  | { code: "agent_missing"; command: string }
  | { code: "agent_failed"; detail: string }
  | { code: "agent_silent"; detail: string }
  | { code: "arguments_invalid"; detail: string }
  | { code: "handle_unknown"; handle: string }
  | { code: "cursor_invalid"; cursor: string }
  | { code: "key_reused"; key: string }
  | { code: "git_failed"; detail: string }
  | { code: "state_too_large"; limitBytes: number }
  | { code: "index_unavailable"; detail: string };

/** Thrown inside serve; a tool call turns it into an answer that says what to do. */
export class ServeFailure extends Error {
  override readonly name = "ServeFailure";
  readonly error: ServeError;

  constructor(error: ServeError) {
    super(explain(error).message);
    this.error = error;
  }
}

export interface Explanation {
  readonly message: string;
  /** Whether the same call may succeed later with nothing changed by a person. */
  readonly retryable: boolean;
}

/** What the caller reads; a new code does not compile until it has one. */
export function explain(error: ServeError): Explanation {
  switch (error.code) {
    case "project_unknown":
      return no(`There is no project ${error.project} on this machine. Call list_projects for the slugs.`);
    case "project_not_allowed":
      return no(
        `${error.folder} is not a project in which remote clients may start sessions. The machine's owner can allow it: ` +
          `use Claude Code there once, add a folder to "projects", or widen "drive" in serve.json.`,
      );
    case "folder_missing":
      return no(`There is no folder ${error.folder} on this machine.`);
    case "session_unknown":
      return no(
        `There is no session ${error.session} on this machine. Call list_sessions for the sessions of a project.`,
      );
    case "session_mirrored":
      return no(
        `Session ${error.session} is open in a terminal on the machine (process ${error.pid}), so only that terminal may prompt it. ` +
          `Read it with poll_events and get_session, continue in a copy with fork_session, or close the terminal first.`,
      );
    case "session_ended":
      return yes(`The agent of session ${error.session} ended unexpectedly. Its last output: ${error.lastOutput}`);
    case "too_many_sessions":
      return yes(
        `All ${error.limit} live sessions that this machine allows are busy. Wait, or end one with dispose_session.`,
      );
    case "queue_full":
      return yes(
        `Session ${error.session} has ${error.limit} prompts in its queue already. Wait until some are done, or call abort_session.`,
      );
    case "read_only":
      return no(`This machine is read-only: sessions can be read but not prompted ("readOnly" in its serve.json).`);
    case "permission_mode_unknown":
      return no(`There is no permission mode ${error.mode}. Use one of: ${error.known.join(", ")}.`);
    case "permission_mode_not_allowed":
      return no(
        `Permission mode ${error.mode} is above the highest that this machine allows remote clients (${error.highest}; ` +
          `"maxPermissionMode" in its serve.json).`,
      );
    case "command_not_allowed":
      return no(
        `This prompt begins with /${error.command}, which Claude Code could run as one of its commands. Prompts ` +
          `of remote clients must be text. To send it as text, put a word before the slash. To allow the command, the ` +
          `machine's owner adds "${error.command}" to "commands" in serve.json; then send it exactly as /${error.command}.`,
      );
    case "mention_outside":
      return no(
        `This prompt mentions @${error.path}, which is outside the project ${error.folder}. Claude Code would read it ` +
          `without asking for permission. Write the path without the @, and reading it needs permission as usual.`,
      );
    case "approval_is_local":
      return no(
        `This machine does not accept approvals from MCP clients, so that a model cannot approve its own requests. Ask the ` +
          `user to answer on Operator's inbox page, or on that machine: codez permissions allow ${error.request} (or deny). To accept approvals from here, ` +
          `the machine's owner sets "respondPermission" in ${error.config} to true or to a list of project folders.`,
      );
    case "request_unknown":
      return no(`There is no request ${error.request}. Call list_pending or get_session for the ones that wait.`);
    case "request_settled":
      return no(
        `Request ${error.request} was already settled: ${error.decision}, by ${error.by}, at ${new Date(error.atMs).toISOString()}.`,
      );
    case "pages_not_allowed":
      return no(
        `This machine does not accept answers from pages of Operator. Answer there: codez permissions allow ${error.request} ` +
          `(or deny). To accept them, its owner removes "answerOnPages": false from ${error.config}.`,
      );
    case "agent_missing":
      return no(
        `Claude Code was not found (${error.command}). Install it on the machine: npm install -g @anthropic-ai/claude-code`,
      );
    case "agent_failed":
      return no(`Claude Code did not start: ${error.detail}`);
    case "agent_silent":
      return yes(`Claude Code did not answer in time: ${error.detail}`);
    case "arguments_invalid":
      return no(error.detail);
    case "handle_unknown":
      return no(`The handle ${error.handle} is unknown. Use a handle from get_session or search_sessions.`);
    case "cursor_invalid":
      return no(`${error.cursor} is not a cursor of this tool. Leave it out to start again.`);
    case "key_reused":
      return no(
        `The key ${error.key} was used for another call. Use a new key for every new call, and the same one only to repeat a call.`,
      );
    case "git_failed":
      return yes(`git could not tell what changed: ${error.detail}`);
    case "state_too_large":
      return no(`The state would exceed ${error.limitBytes} bytes. Remove something first, by setting keys to null.`);
    case "index_unavailable":
      return yes(`The history index is not available: ${error.detail}`);
  }
}

function no(message: string): Explanation {
  return { message, retryable: false };
}

function yes(message: string): Explanation {
  return { message, retryable: true };
}
