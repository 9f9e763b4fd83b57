import { randomUUID } from "node:crypto";
import type { ServeConfig } from "../config.ts";
import type { AgentEvent, AgentRun, Prompt, TurnResult } from "../agent/agent.ts";
import { explain, ServeFailure } from "../error.ts";
import type { EventLog, EventType } from "../event-log.ts";
import type { PermissionBook } from "../permission/book.ts";
import type { PermissionMode } from "../permission-mode.ts";
import { clip, showPart } from "./clip.ts";
import { DeltaBuffer } from "./delta-buffer.ts";
import { MessageTeller } from "./tell-message.ts";

/** No person sends this many prompts without waiting for answers; only a program in a loop does. */
const MAX_QUEUED = 100;

/** Texts and attachments that wait in one session's queue, in characters: two of the largest prompts that a call can have. */
const MAX_QUEUED_CHARACTERS = 64 * 1024 * 1024;

/** A turn ends immediately after the agent has confirmed an interrupt. One that has not ended after this time is stuck. */
const TURN_END_LIMIT_MS = 10_000;

export interface Turn {
  readonly id: string;
  /** Resolves when the turn is over, whether it succeeded or not. Rejects with ServeFailure when its agent died. */
  readonly done: Promise<TurnResult>;
}

interface QueuedTurn extends Turn {
  readonly prompt: Prompt;
  readonly resolve: (result: TurnResult) => void;
  readonly reject: (error: Error) => void;
}

export interface LiveSessionOptions {
  readonly id: string;
  readonly cwd: string;
  readonly slug: string;
  readonly model: string | null;
  readonly permissionMode: PermissionMode;
  readonly config: ServeConfig;
  readonly events: EventLog;
  readonly permissions: PermissionBook;
  readonly onEnded: (session: LiveSession) => void;
}

/** A session with an agent process: its queue of prompts, its current turn, and its events. */
export class LiveSession {
  readonly id: string;
  readonly cwd: string;
  readonly slug: string;
  readonly permissionMode: PermissionMode;
  /** The policy that it was started under, or the last one that was found to allow it. */
  config: ServeConfig;
  readonly startedAtMs = Date.now();
  model: string | null;
  costUsd: number | null = null;
  lastActiveAtMs = Date.now();
  readonly #events: EventLog;
  readonly #permissions: PermissionBook;
  readonly #onEnded: (session: LiveSession) => void;
  readonly #deltas: DeltaBuffer;
  readonly #queue: QueuedTurn[] = [];
  readonly #messages: MessageTeller;
  #run: AgentRun | null = null;
  #turn: QueuedTurn | null = null;
  #hasEnded = false;

  constructor(options: LiveSessionOptions) {
    this.id = options.id;
    this.cwd = options.cwd;
    this.slug = options.slug;
    this.model = options.model;
    this.permissionMode = options.permissionMode;
    this.config = options.config;
    this.#events = options.events;
    this.#permissions = options.permissions;
    this.#onEnded = options.onEnded;
    this.#messages = new MessageTeller(options.events);
    this.#deltas = new DeltaBuffer((text) => this.#events.append("message.delta", this.id, { text }));
  }

  attach(run: AgentRun): void {
    this.#run = run;
    this.#next();
  }

  get pid(): number | null {
    return this.#run?.pid ?? null;
  }

  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  get isBusy(): boolean {
    return this.#turn !== null || this.#queue.length > 0;
  }

  get queued(): number {
    return this.#queue.length;
  }

  /** Queues a prompt; it runs when those before it are done. Throws ServeFailure `queue_full`, `session_ended`. */
  prompt(prompt: Prompt): Turn {
    if (this.#hasEnded) throw this.#endedFailure("");
    if (this.#queue.length >= MAX_QUEUED) {
      throw new ServeFailure({ code: "queue_full", session: this.id, limit: MAX_QUEUED });
    }
    const waiting = this.#queue.reduce((sum, queued) => sum + sizeOf(queued.prompt), 0);
    if (waiting > 0 && waiting + sizeOf(prompt) > MAX_QUEUED_CHARACTERS)
      throw new ServeFailure({ code: "queue_full", session: this.id, limit: this.#queue.length });
    const turn = queueTurn(prompt);
    this.#queue.push(turn);
    this.#next();
    return turn;
  }

  /** Stops the current turn and drops the queued prompts. Returns how many were dropped, and whether a turn was running. */
  async abort(): Promise<{ stopped: boolean; dropped: number }> {
    const dropped = this.#queue.splice(0);
    for (const { resolve } of dropped) resolve({ outcome: "interrupted", text: "", costUsd: this.costUsd });
    const turn = this.#turn;
    if (turn === null || this.#run === null) return { stopped: false, dropped: dropped.length };
    try {
      await this.#run.interrupt();
      await within(TURN_END_LIMIT_MS, turn.done);
    } catch (error) {
      if (!(error instanceof ServeFailure)) throw error;
      // An agent that does not answer is killed. The next prompt resumes the session.
      await this.end();
    }
    return { stopped: true, dropped: dropped.length };
  }

  /**
   * Drops the queued prompts that are no longer allowed. `whyNot` answers the reason, or `null`. A prompt whose turn begins while it is
   * asked about was allowed a moment before, and runs.
   */
  async dropForbidden(whyNot: (prompt: Prompt) => Promise<ServeFailure | null>): Promise<void> {
    for (const turn of this.#queue.slice()) {
      const reason = await whyNot(turn.prompt);
      const at = this.#queue.indexOf(turn);
      if (reason === null || at < 0) continue;
      this.#queue.splice(at, 1);
      turn.reject(reason);
      const { message } = explain(reason.error);
      this.#tell("session.error", { turn_id: turn.id, message: `a waiting prompt was dropped: ${message}` });
    }
  }

  /** Tells those who follow this session why something happens to it that they did not ask for. */
  announce(message: string): void {
    this.#tell("session.error", { message });
  }

  async end(): Promise<void> {
    await this.#run?.end();
  }

  /** Handles the agent's events; passed to Agent.start. */
  readonly onEvent = (event: AgentEvent): void => {
    this.lastActiveAtMs = Date.now();
    if (event.type === "delta") return this.#deltas.add(event.text);
    this.#deltas.flush();
    switch (event.type) {
      case "model":
        this.model = event.model;
        return;
      case "turn.started":
        this.#turn ??= queueTurn({ id: randomUUID(), text: "", isCommand: false, attachments: [] });
        return this.#tell("session.updated", { status: "busy", turn_id: this.#turn.id, reason: "task" });
      case "prompt.taken":
        return this.#tell("turn.started", { turn_id: event.prompt });
      case "message":
        return this.#messages.tell(this.id, event);
      case "task.started":
        return this.#tell("task.started", { task_id: event.task, description: event.description });
      case "task.finished":
        return this.#tell("task.finished", { task_id: event.task, status: event.status, summary: event.summary });
      case "permission.requested": {
        const respond = this.#run?.respond.bind(this.#run);
        const { id, cwd } = this;
        this.#permissions.ask(
          { session: id, cwd, respond: (decision) => respond?.(event.request.id, decision) },
          event.request,
        );
        return;
      }
      case "permission.withdrawn":
        return this.#permissions.withdraw(event.request);
      case "turn.finished":
        return this.#onTurnFinished(event.result);
      case "ended":
        return this.#onProcessEnded(event);
    }
  };

  #next(): void {
    if (this.#run === null || this.#turn !== null) return;
    const turn = this.#queue.shift();
    if (turn === undefined) return;
    this.#turn = turn;
    this.lastActiveAtMs = Date.now();
    const { text } = clip(turn.prompt.text);
    const images = turn.prompt.attachments.filter(({ mediaType }) => mediaType.startsWith("image/"));
    this.#tell("session.updated", { status: "busy", turn_id: turn.id, queued: this.#queue.length });
    const shown = images.map(({ mediaType }) => showPart({ type: "image", mediaType, data: null }));
    this.#tell("message", { message_id: turn.id, role: "user", parts: [...shown, { type: "text", text }] });
    this.#run.prompt(turn.prompt);
  }

  #onTurnFinished(result: TurnResult): void {
    const turn = this.#turn;
    this.#turn = null;
    this.costUsd = result.costUsd ?? this.costUsd;
    turn?.resolve(result);
    const text = clip(result.text).text;
    const about = { turn_id: turn?.id ?? null, outcome: result.outcome, model: this.model, cost_usd: this.costUsd };
    if (result.outcome === "failed") this.#tell("session.error", { ...about, message: text });
    if (this.#queue.length > 0) {
      this.#tell("session.updated", { status: "live", ...about, queued: this.#queue.length });
    } else {
      this.#tell("session.idle", { ...about, result: text });
    }
    this.#next();
  }

  #onProcessEnded(event: Extract<AgentEvent, { type: "ended" }>): void {
    this.#hasEnded = true;
    const failure = this.#endedFailure(event.lastOutput || event.exit);
    const lost = [...(this.#turn === null ? [] : [this.#turn]), ...this.#queue.splice(0)];
    this.#turn = null;
    for (const turn of lost) turn.reject(failure);
    if (!event.expected) {
      const message = `Claude Code ended unexpectedly (${event.exit})`;
      this.#tell("session.error", { message, last_output: event.lastOutput, lost_prompts: lost.length });
    }
    this.#tell("session.updated", { status: "idle", reason: event.expected ? "ended" : "crashed" });
    this.#onEnded(this);
  }

  #endedFailure(lastOutput: string): ServeFailure {
    return new ServeFailure({ code: "session_ended", session: this.id, lastOutput });
  }

  #tell(type: EventType, details: Record<string, unknown>): void {
    this.#events.append(type, this.id, details);
  }
}

function sizeOf({ text, attachments }: Prompt): number {
  return attachments.reduce((sum, { content }) => sum + content.length, text.length);
}

function queueTurn(prompt: Prompt): QueuedTurn {
  let resolve: QueuedTurn["resolve"] = () => undefined;
  let reject: QueuedTurn["reject"] = () => undefined;
  const done = new Promise<TurnResult>((settle, fail) => {
    resolve = settle;
    reject = fail;
  });
  // Most callers do not wait for a turn. Its failure is reported by the event session.error.
  done.catch(() => undefined);
  return { id: prompt.id, prompt, done, resolve, reject };
}

async function within(limitMs: number, done: Promise<TurnResult>): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    const detail = "the turn did not end after an interrupt";
    timer = setTimeout(() => reject(new ServeFailure({ code: "agent_silent", detail })), limitMs);
  });
  try {
    await Promise.race([done, late]);
  } finally {
    clearTimeout(timer);
  }
}
