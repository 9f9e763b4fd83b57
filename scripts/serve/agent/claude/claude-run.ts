import type { ChildProcessWithoutNullStreams } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readOutputLines } from "../../../system/output-lines.ts";
import { ServeFailure } from "../../error.ts";
import type { AgentEvent, AgentRun, Attachment, Decision, Prompt } from "../agent.ts";
import type { Guard } from "../keeper.ts";
import { isShallow } from "../nesting.ts";
import { readParts } from "./content-part.ts";
import { ruleText, type SessionRule, sessionRulesIn, sessionUpdate } from "./session-rules.ts";
import { parseStreamLine, type StreamMessage } from "./stream-message.ts";

/** Claude Code answers `initialize` in under a second, but a project's plugins and MCP servers may take longer to start. */
const START_LIMIT_MS = 60_000;

/** Claude Code confirms an interrupt within milliseconds, or never. */
const INTERRUPT_LIMIT_MS = 5_000;

/** How long an idle process may take to write its last lines after its input has ended. */
const QUIT_LIMIT_MS = 2_000;

/** The largest message of Claude Code that is read. What it shows of a file or a program has a tenth of this. */
const MAX_LINE_BYTES = 64 * 1024 * 1024;

/** How much of the most recent error output is kept, to explain a crash. */
const LAST_OUTPUT_CHARS = 4_000;

/** Claude Code in `--input-format stream-json`, spoken to in its control protocol. */
export class ClaudeRun implements AgentRun {
  readonly pid: number;
  readonly #child: ChildProcessWithoutNullStreams;
  readonly #guard: Guard;
  readonly #onEvent: (event: AgentEvent) => void;
  readonly #replies = new Map<string, { resolve: () => void; reject: (error: Error) => void }>();
  /** The inputs of open permission requests. An "allow" must contain the input again. */
  readonly #asked = new Map<string, { input: Record<string, unknown>; rules: readonly SessionRule[] }>();
  readonly #exited: Promise<void>;
  #lastOutput = "";
  #hasEnded = false;
  #endAsked = false;
  #inTurn = false;
  /** The prompt that Claude Code has not started on yet. A turn that ends before that was not started by this prompt. */
  #untaken: string | null = null;
  #interrupting = false;

  constructor(child: ChildProcessWithoutNullStreams, pid: number, guard: Guard, onEvent: (e: AgentEvent) => void) {
    this.#child = child;
    this.pid = pid;
    this.#guard = guard;
    this.#onEvent = onEvent;
    child.stderr.setEncoding("utf8").on("data", (text: string) => this.#keepOutput(text));
    // Writing to a process that has just died fails here. Its exit event reports the reason.
    child.stdin.on("error", (error) => this.#keepOutput(String(error)));
    readOutputLines(child.stdout, MAX_LINE_BYTES, (line) => this.#readLine(line));
    this.#exited = once(child, "close").then(([code, signal]) => this.#onExit(code, signal));
  }

  /** Resolves when Claude Code is ready for prompts. Throws ServeFailure, and then nothing is left running. */
  async ready(): Promise<void> {
    try {
      await this.#request({ subtype: "initialize" }, START_LIMIT_MS);
    } catch (error) {
      await this.end();
      throw error;
    }
  }

  prompt(prompt: Prompt): void {
    this.#inTurn = true;
    const blocks = [...prompt.attachments.map(toBlock), { type: "text", text: prompt.text }];
    const content = blocks.length === 1 ? prompt.text : blocks;
    const uuid = prompt.id;
    this.#untaken = uuid;
    // Claude Code looks for commands and file mentions only in text that a person typed, not in other text.
    const nature = prompt.isCommand ? {} : { text_not_typed: true };
    const message = { role: "user", content };
    this.#send({ type: "user", uuid, session_id: "", parent_tool_use_id: null, message, ...nature });
  }

  respond(request: string, decision: Decision): void {
    const asked = this.#asked.get(request);
    if (asked === undefined) return;
    const { input, rules } = asked;
    this.#asked.delete(request);
    const response =
      decision.behavior === "allow"
        ? {
            behavior: "allow",
            updatedInput: withAnswers(input, decision.answers),
            ...(decision.forSession === true && rules.length > 0 ? { updatedPermissions: [sessionUpdate(rules)] } : {}),
          }
        : { behavior: "deny", message: decision.reason };
    this.#send({ type: "control_response", response: { subtype: "success", request_id: request, response } });
  }

  async interrupt(): Promise<void> {
    this.#interrupting = this.#inTurn;
    await this.#request({ subtype: "interrupt" }, INTERRUPT_LIMIT_MS);
  }

  async end(): Promise<void> {
    this.#endAsked = true;
    if (!this.#inTurn && !this.#hasEnded) {
      this.#child.stdin.end();
      await Promise.race([this.#exited, delay(QUIT_LIMIT_MS)]);
    }
    if (!this.#hasEnded) await this.#guard.kill();
    await this.#exited;
  }

  #send(message: unknown): void {
    this.#child.stdin.write(`${JSON.stringify(message)}\n`);
  }

  #request(request: { subtype: string }, limitMs: number): Promise<void> {
    const id = randomUUID();
    return new Promise<void>((resolve, reject) => {
      const finish = (settle: () => void) => {
        clearTimeout(timer);
        this.#replies.delete(id);
        settle();
      };
      const timer = setTimeout(() => {
        const detail = `no answer to ${request.subtype} within ${limitMs} ms. ${this.#lastOutput}`;
        finish(() => reject(new ServeFailure({ code: "agent_silent", detail })));
      }, limitMs);
      this.#replies.set(id, {
        resolve: () => finish(resolve),
        reject: (error) => finish(() => reject(error)),
      });
      if (this.#hasEnded) return this.#rejectReplies();
      this.#send({ type: "control_request", request_id: id, request });
    });
  }

  #readLine(line: string): void {
    let message: StreamMessage | null;
    try {
      message = parseStreamLine(line);
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      // Output outside the protocol (of a hook, of a wrapper script). It only helps to explain a crash.
      this.#keepOutput(`${line}\n`);
      return;
    }
    if (message !== null) this.#read(message);
  }

  #read(message: StreamMessage): void {
    switch (message.type) {
      case "assistant":
      case "user": {
        if (message.uuid !== undefined && message.uuid === this.#untaken) this.#taken(message.uuid);
        const parts = readParts(message.message.content);
        if (parts.length === 0 || ("isReplay" in message && message.isReplay === true)) return;
        const id = message.uuid ?? randomUUID();
        const parentToolUse = message.parent_tool_use_id ?? null;
        return this.#onEvent({ type: "message", id, role: message.type, parts, parentToolUse });
      }
      case "command_lifecycle":
        // A command that Claude Code answers by itself is not replayed as a message. This line shows that it was processed.
        if (message.state === "started" && message.command_uuid === this.#untaken) this.#taken(message.command_uuid);
        return;
      case "stream_event": {
        const text = message.event.delta?.type === "text_delta" ? message.event.delta.text : undefined;
        if (text !== undefined && message.parent_tool_use_id == null) this.#onEvent({ type: "delta", text });
        return;
      }
      case "system":
        return this.#readSystem(message);
      case "result":
        return this.#readResult(message);
      case "control_request":
        return this.#readAsk(message);
      case "control_cancel_request":
        if (this.#asked.delete(message.request_id)) {
          this.#onEvent({ type: "permission.withdrawn", request: message.request_id });
        }
        return;
      case "control_response": {
        const reply = this.#replies.get(message.response.request_id);
        if (message.response.subtype === "success") return reply?.resolve();
        return reply?.reject(new ServeFailure({ code: "agent_failed", detail: message.response.error ?? "no reason" }));
      }
    }
  }

  #taken(prompt: string): void {
    this.#untaken = null;
    this.#onEvent({ type: "prompt.taken", prompt });
  }

  #readSystem(message: Extract<StreamMessage, { type: "system" }>): void {
    const task = message.task_id ?? "";
    switch (message.subtype) {
      case "init":
        // Written at the start of every turn.
        if (message.model !== undefined) this.#onEvent({ type: "model", model: message.model });
        if (!this.#inTurn) this.#onEvent({ type: "turn.started" });
        this.#inTurn = true;
        return;
      case "task_started":
        return this.#onEvent({ type: "task.started", task, description: message.description ?? "" });
      case "task_notification": {
        const status = message.status ?? "finished";
        return this.#onEvent({ type: "task.finished", task, status, summary: message.summary ?? "" });
      }
    }
  }

  #readResult(message: Extract<StreamMessage, { type: "result" }>): void {
    // A background task had finished just before the prompt arrived. The messages of that turn were reported as they came.
    if (this.#untaken !== null && !this.#interrupting && !message.is_error) return;
    this.#untaken = null;
    const outcome = this.#interrupting ? "interrupted" : message.is_error ? "failed" : "done";
    this.#inTurn = false;
    this.#interrupting = false;
    // For an interrupted turn Claude Code reports internal diagnostics as the result.
    const text = outcome === "interrupted" ? "" : (message.result ?? message.errors?.join("\n") ?? "");
    this.#onEvent({ type: "turn.finished", result: { outcome, text, costUsd: message.total_cost_usd ?? null } });
  }

  #readAsk({ request_id: id, request }: Extract<StreamMessage, { type: "control_request" }>): void {
    if (request.subtype !== "can_use_tool") {
      // Dialogs and hooks that need a terminal. Claude Code continues without them when it gets an error.
      const error = `codez serve does not handle ${request.subtype}`;
      return this.#send({ type: "control_response", response: { subtype: "error", request_id: id, error } });
    }
    const input = request.input ?? {};
    if (!isShallow(input)) {
      const response = { behavior: "deny", message: "This input is nested so deep that nobody can be shown it." };
      return this.#send({ type: "control_response", response: { subtype: "success", request_id: id, response } });
    }
    const tool = request.tool_name ?? "unknown";
    const rules = sessionRulesIn(request.permission_suggestions ?? [], tool);
    this.#asked.set(id, { input, rules });
    const why = request.decision_reason ?? (request.blocked_path === undefined ? null : `path ${request.blocked_path}`);
    const sessionRules = rules.map(ruleText);
    const ask = { id, tool, toolUse: request.tool_use_id ?? "", input, why, sessionRules };
    this.#onEvent({ type: "permission.requested", request: ask });
  }

  #keepOutput(text: string): void {
    this.#lastOutput = (this.#lastOutput + text).slice(-LAST_OUTPUT_CHARS);
  }

  async #onExit(code: unknown, signal: unknown): Promise<void> {
    this.#hasEnded = true;
    // Processes that it started in the background, or that were running when it crashed, outlive it.
    await this.#guard.killOrphans();
    this.#rejectReplies();
    for (const request of this.#asked.keys()) this.#onEvent({ type: "permission.withdrawn", request });
    this.#asked.clear();
    const exit = signal === null ? `exit code ${String(code)}` : `signal ${String(signal)}`;
    this.#onEvent({ type: "ended", expected: this.#endAsked, exit, lastOutput: this.#lastOutput.trim() });
  }

  #rejectReplies(): void {
    const detail = this.#lastOutput.trim() || "it ended immediately without any output";
    for (const reply of this.#replies.values()) reply.reject(new ServeFailure({ code: "agent_failed", detail }));
  }
}

/** Claude Code takes the answers to its questions as a part of the tool's input. */
function withAnswers(
  input: Record<string, unknown>,
  answers: Readonly<Record<string, string>> | undefined,
): Record<string, unknown> {
  return answers === undefined ? input : { ...input, answers };
}

function toBlock({ mediaType, content, name }: Attachment): object {
  const title = name === null ? {} : { title: name };
  if (mediaType.startsWith("image/")) {
    return { type: "image", source: { type: "base64", media_type: mediaType, data: content } };
  }
  if (mediaType === "application/pdf") {
    return { type: "document", source: { type: "base64", media_type: mediaType, data: content }, ...title };
  }
  const text = Buffer.from(content, "base64").toString("utf8");
  return { type: "document", source: { type: "text", media_type: "text/plain", data: text }, ...title };
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms).unref());
}
