import type { PermissionMode } from "../permission-mode.ts";

/**
 * A coding agent that serve can drive. Claude Code is the one shipped; another (Codex, anything that speaks the Agent
 * Client Protocol) is a second implementation of these two interfaces and nothing else.
 */
export interface Agent {
  readonly name: string;
  /** What is installed and whether somebody is signed in. Never throws: what is wrong is in the answer. */
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
  /** Each with what to run. */
  readonly problems: readonly string[];
}

export interface StartOptions {
  /** The id the session has, or gets. */
  readonly session: string;
  readonly origin: { kind: "new" } | { kind: "resume" } | { kind: "fork"; from: string };
  readonly cwd: string;
  readonly model: string | null;
  readonly permissionMode: PermissionMode;
  /** The session must never get above this mode, whatever is approved in it. */
  readonly highestMode: PermissionMode;
  /** Called in order, one at a time, never after `ended`. */
  readonly onEvent: (event: AgentEvent) => void;
}

/** One process working for one session. A turn begins with `prompt` and ends with a `turn.finished` event. */
export interface AgentRun {
  readonly pid: number;
  /** Begins a turn. To be called only while none runs. */
  prompt(prompt: Prompt): void;
  /** Answers a `permission.requested` event; one that was withdrawn meanwhile is left alone. */
  respond(request: string, decision: Decision): void;
  /** Stops the running turn and its child processes; `turn.finished` follows. Resolves when the agent agreed. */
  interrupt(): Promise<void>;
  /** Ends the process and everything it started. Resolves when all of it is gone. */
  end(): Promise<void>;
}

export interface Prompt {
  readonly text: string;
  /** The text is a command of the agent's that the owner's policy lists; otherwise the agent must take it as text. */
  readonly isCommand: boolean;
  readonly attachments: readonly Attachment[];
}

export interface Attachment {
  readonly mediaType: string;
  /** Base64. */
  readonly content: string;
  readonly name: string | null;
}

export type Decision = { behavior: "allow" } | { behavior: "deny"; reason: string };

/** A part of a message, as it is shown; the same shape for what happens now and for history. */
export type Part =
  | { type: "text"; text: string }
  | { type: "thinking"; text: string }
  | { type: "tool_use"; id: string; tool: string; input: unknown }
  | { type: "tool_result"; toolUse: string; text: string; isError: boolean }
  | { type: "image"; mediaType: string };

export type AgentEvent =
  | { type: "model"; model: string }
  /** The agent began a turn that nobody prompted: a task in the background has finished, and it looks at the outcome. */
  | { type: "turn.started" }
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
  /** Why a person is needed, when the agent says. */
  readonly why: string | null;
}

export interface TurnResult {
  readonly outcome: "done" | "failed" | "interrupted";
  readonly text: string;
  /** The whole session's so far, when the agent says. */
  readonly costUsd: number | null;
}
