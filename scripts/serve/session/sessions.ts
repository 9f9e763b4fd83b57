import { randomUUID } from "node:crypto";
import { noteWithin } from "#protocol/keep-within.ts";
import type { Agent, Prompt, StartOptions } from "../agent/agent.ts";
import type { ServeConfig } from "../config.ts";
import { ServeFailure } from "../error.ts";
import type { EventLog } from "../event-log.ts";
import { projectSlugOf } from "../history/project-slug.ts";
import type { PermissionBook } from "../permission/book.ts";
import { atMost, isAbove, type PermissionMode } from "../permission-mode.ts";
import type { Ledger } from "./ledger.ts";
import { LiveSession, type Turn } from "./live-session.ts";
import type { Terminal } from "./terminals.ts";

/** How often idle sessions are looked for. */
const IDLE_LOOK_MS = 10_000;

/** Sessions of which it is known when serve last had a process for them. More than anybody's file grows with. */
const MAX_ENDED = 10_000;

/** Where a session works. */
export interface Place {
  readonly cwd: string;
  readonly slug: string;
}

export interface SessionsOptions {
  readonly agent: Agent;
  readonly config: () => ServeConfig;
  readonly events: EventLog;
  readonly permissions: PermissionBook;
  readonly ledger: Ledger;
  /** Finds the session in Claude Code's files; `null` when it is not there. */
  readonly find: (session: string) => Promise<Place | null>;
  /** The terminal in which the session is open, if there is one. */
  readonly terminalOf: (session: string, own: ReadonlySet<number>) => Promise<Terminal | null>;
}

export interface Creation {
  /** Default: a new one. */
  readonly session?: string;
  readonly cwd: string;
  readonly model: string | null;
  readonly permissionMode: PermissionMode;
}

type Opening = Omit<StartOptions, "highestMode" | "onEvent">;

/** The sessions with an agent process, and the ways in which a session gets one: create, fork, resume. */
export class Sessions {
  readonly #options: SessionsOptions;
  readonly #live = new Map<string, LiveSession>();
  /** Sessions whose process is starting, so that two prompts at once do not start two processes. */
  readonly #opening = new Map<string, Promise<LiveSession>>();
  readonly #ending = new Set<Promise<void>>();
  /** When serve last had a process for a session. Messages in its file from before then have already been reported. */
  readonly #lastLiveAtMs = new Map<string, number>();
  readonly #timer: NodeJS.Timeout;
  #stopped = false;

  constructor(options: SessionsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#endIdle(), IDLE_LOOK_MS);
    this.#timer.unref();
  }

  live(session: string): LiveSession | null {
    return this.#live.get(session) ?? null;
  }

  /** Whether serve itself has reported what happened in a session at this time. */
  isTold(session: string, atMs: number): boolean {
    return this.#live.has(session) || this.#opening.has(session) || atMs <= (this.#lastLiveAtMs.get(session) ?? 0);
  }

  all(): LiveSession[] {
    return [...this.#live.values()];
  }

  ownPids(): Set<number> {
    return new Set(this.all().flatMap(({ pid }) => (pid === null ? [] : [pid])));
  }

  /** Throws ServeFailure: those of Agent.start, and `too_many_sessions`. */
  async create({ session: id = randomUUID(), cwd, model, permissionMode }: Creation): Promise<LiveSession> {
    const session = await this.#open({ session: id, origin: { kind: "new" }, cwd, model, permissionMode });
    await this.#record(session, null);
    return session;
  }

  /** Copies the conversation so far to a new session. The original does not change. */
  async fork(session: string): Promise<LiveSession> {
    const { cwd } = await this.where(session);
    const from = await this.#writtenOriginal(session);
    const origin = from === null ? ({ kind: "new" } as const) : ({ kind: "fork", from } as const);
    const fork = await this.#open({ session: randomUUID(), origin, cwd, ...this.#settings(session) });
    await this.#record(fork, session);
    return fork;
  }

  /** Queues a prompt. A session without a process is resumed first. Throws ServeFailure. */
  async prompt(session: string, prompt: Prompt): Promise<{ turn: Turn; live: LiveSession }> {
    const running = this.#live.get(session);
    // The owner has lowered the maximum since. A running process cannot change its mode, so it is ended.
    const isTooFree =
      running !== undefined && isAbove(running.permissionMode, this.#options.config().maxPermissionMode);
    if (isTooFree) await running.end();
    const live = running === undefined || isTooFree ? await this.#resume(session) : running;
    return { turn: live.prompt(prompt), live };
  }

  async abort(session: string): Promise<{ stopped: boolean; dropped: number }> {
    const live = this.#live.get(session);
    if (live !== undefined) return live.abort();
    await this.where(session);
    return { stopped: false, dropped: 0 };
  }

  /** Ends a session's process. The history stays, and a prompt resumes it. Returns whether there was a process. */
  async dispose(session: string): Promise<boolean> {
    const live = this.#live.get(session);
    if (live === undefined) {
      await this.where(session);
      return false;
    }
    await live.end();
    return true;
  }

  /** Throws ServeFailure `session_unknown`. */
  async where(session: string): Promise<Place> {
    const live = this.#live.get(session) ?? (await this.#options.find(session));
    if (live !== null) return live;
    const made = this.#options.ledger.get(session);
    if (made === null) throw new ServeFailure({ code: "session_unknown", session });
    return { cwd: made.cwd, slug: projectSlugOf(made.cwd) };
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#timer);
    await Promise.allSettled(this.#opening.values());
    await Promise.all(this.all().map((session) => session.end()));
    await Promise.all(this.#ending);
  }

  async #resume(session: string): Promise<LiveSession> {
    const { cwd } = await this.where(session);
    const terminal = await this.#options.terminalOf(session, this.ownPids());
    const original = await this.#writtenOriginal(session);
    const late = this.#live.get(session) ?? this.#opening.get(session);
    if (late !== undefined) return late;
    if (terminal !== null) throw new ServeFailure({ code: "session_mirrored", session, pid: terminal.pid });
    const origin = this.#originOf(session, original);
    const resumed = await this.#open({ session, origin, cwd, ...this.#settings(session) });
    this.#options.events.append("session.updated", session, { status: "live", reason: "resumed" });
    return resumed;
  }

  /**
   * The session whose file contains this one's conversation: itself, or, for a fork that was never prompted, the session that it
   * was forked from. `null` for a session without any message.
   */
  async #writtenOriginal(session: string): Promise<string | null> {
    if ((await this.#options.find(session)) !== null) return session;
    const from = this.#options.ledger.get(session)?.forkedFrom ?? null;
    return from === null ? null : this.#writtenOriginal(from);
  }

  #originOf(session: string, original: string | null): StartOptions["origin"] {
    if (original === null) return { kind: "new" };
    return original === session ? { kind: "resume" } : { kind: "fork", from: original };
  }

  /** The settings with which a session was created, lowered to what the owner allows now. */
  #settings(session: string): { model: string | null; permissionMode: PermissionMode } {
    const { defaultPermissionMode, maxPermissionMode } = this.#options.config();
    const made = this.#options.ledger.get(session);
    const mode = made?.permissionMode ?? defaultPermissionMode;
    return { model: made?.model ?? null, permissionMode: atMost(mode, maxPermissionMode) };
  }

  #open(options: Opening): Promise<LiveSession> {
    // Started after the session is registered, so that it counts itself when it makes room.
    const opening = Promise.resolve()
      .then(() => this.#start(options))
      .finally(() => this.#opening.delete(options.session));
    this.#opening.set(options.session, opening);
    return opening;
  }

  async #start(options: Opening): Promise<LiveSession> {
    await this.#makeRoom();
    const { events, permissions, agent } = this.#options;
    const { session: id, cwd, model, permissionMode } = options;
    const onEnded = (session: LiveSession) => {
      noteWithin(this.#lastLiveAtMs, MAX_ENDED, session.id, Date.now());
      if (this.#live.get(session.id) === session) this.#live.delete(session.id);
    };
    const slug = projectSlugOf(cwd);
    const config = this.#options.config();
    const live = new LiveSession({ id, cwd, slug, model, permissionMode, config, events, permissions, onEnded });
    const run = await agent.start({
      ...options,
      highestMode: config.maxPermissionMode,
      onEvent: live.onEvent,
    });
    this.#live.set(id, live);
    live.attach(run);
    if (live.hasEnded) onEnded(live);
    return live;
  }

  /** If the limit is reached, ends the process of the session that has been idle for longest. */
  async #makeRoom(): Promise<void> {
    const limit = this.#options.config().maxLiveSessions;
    if (this.#stopped) throw new ServeFailure({ code: "agent_failed", detail: "codez serve is stopping" });
    while (this.#live.size + this.#opening.size > limit) {
      const idle = this.all().filter((session) => !session.isBusy);
      const oldest = idle.sort((a, b) => a.lastActiveAtMs - b.lastActiveAtMs)[0];
      if (oldest === undefined) throw new ServeFailure({ code: "too_many_sessions", limit });
      await oldest.end();
      this.#live.delete(oldest.id);
    }
  }

  #endIdle(): void {
    const oldestMs = Date.now() - this.#options.config().idleMinutes * 60_000;
    for (const session of this.all()) {
      if (session.isBusy || session.lastActiveAtMs > oldestMs) continue;
      const ending = session.end().finally(() => this.#ending.delete(ending));
      this.#ending.add(ending);
    }
  }

  async #record(live: LiveSession, forkedFrom: string | null): Promise<void> {
    const { id: session, cwd, slug, model, permissionMode } = live;
    await this.#options.ledger.add({ session, cwd, model, permissionMode, createdAtMs: Date.now(), forkedFrom });
    const fork = forkedFrom === null ? {} : { forked_from: forkedFrom };
    this.#options.events.append("session.created", session, {
      cwd,
      slug,
      model,
      permission_mode: permissionMode,
      ...fork,
    });
  }
}
