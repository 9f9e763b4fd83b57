import type { PermissionMode } from "../permission-mode.ts";

/**
 * A coding agent that serve can run. Claude Code is the only implementation so far. Another agent (Codex, or any that speaks the
 * Agent Client Protocol) needs just another implementation of these two interfaces.
 */
export interface Agent {
  readonly name: string;
  /** Which version is installed, and whether somebody is signed in. Never throws; problems are part of the answer. */
  check(): Promise<AgentCheck>;
  /**
   * Starts a process for one session and resolves once it listens. Throws ServeFailure (`agent_missing`,
   * `agent_failed`, `agent_silent`) and leaves nothing running when it can't.
   */
  start(options: StartOptions): Promise<AgentRun>;
}

export interface AgentCheck {
  readonly command: string;
  readonly version: string | null;
  readonly signedIn: boolean | null;
  /** What is wrong, each with the command that fixes it. */
  readonly problems: readonly string[];
}

export interface StartOptions {
  /** The session's id, existing or new. */
  readonly session: string;
  readonly origin: { kind: "new" } | { kind: "resume" } | { kind: "fork"; from: string };
  readonly cwd: string;
  readonly model: string | null;
  readonly permissionMode: PermissionMode;
  /** The session must never exceed this mode, whatever is approved in it. */
  readonly highestMode: PermissionMode;
  /** Called in order, one at a time, never after `ended`. */
  readonly onEvent: (event: AgentEvent) => void;
}

/** One process working for one session. A turn begins with `prompt` and ends with a `turn.finished` event. */
export interface AgentRun {
  readonly pid: number;
  /** Begins a turn. Call it only while no turn is running. */
  prompt(prompt: Prompt): void;
  /** Answers a `permission.requested` event. Does nothing if the request was withdrawn meanwhile. */
  respond(request: string, decision: Decision): void;
  /** Stops the running turn and its child processes; `turn.finished` follows. Resolves when the agent agreed. */
  interrupt(): Promise<void>;
  /** Ends the process and everything it started. Resolves when all of it is gone. */
  end(): Promise<void>;
}

export interface Prompt {
  /** A UUID of its own, which the agent writes down together with the prompt. */
  readonly id: string;
  readonly text: string;
  /** Whether the text is an agent command that the owner's policy allows. Otherwise the agent must treat it as plain text. */
  readonly isCommand: boolean;
  readonly attachments: readonly Attachment[];
}

export interface Attachment {
  readonly mediaType: string;
  /** Base64. */
  readonly content: string;
  readonly name: string | null;
}

/**
 * `answers`: what a person answered to the agent's questions, by their text. `forSession`: the request's session rules apply until the
 * session's process ends.
 */
export type Decision =
  | { behavior: "allow"; answers?: Readonly<Record<string, string>>; forSession?: boolean }
  | { behavior: "deny"; reason: string };

/** A part of a message as clients see it. Live events and history use the same shape. */
export type Part =
  | { type: "text"; text: string }
  | { type: "thinking"; text: string }
  | { type: "tool_use"; id: string; tool: string; input: unknown }
  | { type: "tool_result"; toolUse: string; text: string; isError: boolean }
  /** `data` is Base64; `null` if the image is not in the message itself or of a kind that is not passed on. */
  | { type: "image"; mediaType: string; data: string | null };

export type AgentEvent =
  | { type: "model"; model: string }
  /** The agent began a turn without a prompt, because a background task has finished and it looks at the outcome. */
  | { type: "turn.started" }
  /** The agent has taken a prompt, and keeps it whatever happens to this process. */
  | { type: "prompt.taken"; prompt: string }
  | { type: "message"; id: string; role: "user" | "assistant"; parts: readonly Part[]; parentToolUse: string | null }
  | { type: "delta"; text: string }
  | { type: "task.started"; task: string; description: string }
  | { type: "task.finished"; task: string; status: string; summary: string }
  | { type: "permission.requested"; request: PermissionAsk }
  | { type: "permission.withdrawn"; request: string }
  | { type: "turn.finished"; result: TurnResult }
  | { type: "ended"; expected: boolean; exit: string; lastOutput: string };

export interface PermissionAsk {
  readonly id: string;
  readonly tool: string;
  readonly toolUse: string;
  readonly input: unknown;
  /** Why approval is needed, if the agent says. */
  readonly why: string | null;
  /** What may be allowed for the rest of the session, in the agent's own notation. Absent or empty: nothing. */
  readonly sessionRules?: readonly string[];
}

export interface TurnResult {
  readonly outcome: "done" | "failed" | "interrupted";
  readonly text: string;
  /** The cost of the whole session so far, if the agent says. */
  readonly costUsd: number | null;
}
