import * as z from "zod";
import type { Decision, PermissionAsk } from "../agent/agent.ts";
import type { EventLog } from "../event-log.ts";
import { ServeFailure } from "../error.ts";
import { readJson, writeJson } from "../../system/json-file.ts";
import { PermissionRequest, type Settlement, type Settler } from "./pending.ts";

/** Number of settled requests that are kept, so that a second answer can be told who gave the first. */
const MAX_SETTLED = 500;

/** How often requests are checked for expiry. */
const EXPIRY_LOOK_MS = 1_000;

const Stored = z.array(PermissionRequest);

export interface Asker {
  readonly session: string;
  readonly cwd: string;
  /** Passes the decision to the agent. */
  readonly respond: (decision: Decision) => void;
}

/** All permission requests of this machine. Each is settled exactly once and never reopened. */
export class PermissionBook {
  readonly #path: string;
  readonly #events: EventLog;
  readonly #timeoutMs: () => number;
  readonly #now: () => number;
  readonly #requests = new Map<string, PermissionRequest>();
  readonly #askers = new Map<string, Asker>();
  readonly #timer: NodeJS.Timeout;
  #writing: Promise<void> = Promise.resolve();
  #problem: string | null = null;

  constructor(path: string, events: EventLog, timeoutMs: () => number, now: () => number = Date.now) {
    this.#path = path;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
    this.#timer = setInterval(() => this.#expire(), EXPIRY_LOOK_MS);
    this.#timer.unref();
  }

  /** Reads the requests of an earlier run. Their turns have ended with it, so those that were open are closed now. */
  async load(): Promise<void> {
    const stored = Stored.safeParse((await readJson(this.#path)) ?? []);
    if (!stored.success) throw new Error(`${this.#path} is not readable: ${z.prettifyError(stored.error)}`);
    for (const request of stored.data) this.#requests.set(request.id, request);
    for (const request of this.pending()) {
      this.#settle(request, "deny", "restart", "codez serve and the turn ended while this request was waiting");
    }
    await this.#writing;
  }

  ask(asker: Asker, ask: PermissionAsk): PermissionRequest {
    const askedAtMs = this.#now();
    const { id, tool, toolUse, input, why } = ask;
    const { session, cwd } = asker;
    const expiresAtMs = askedAtMs + this.#timeoutMs();
    const request = { id, session, cwd, tool, toolUse, input, why, askedAtMs, expiresAtMs, settled: null };
    this.#requests.set(id, request);
    this.#askers.set(id, asker);
    this.#save();
    void this.#announce(request);
    return request;
  }

  pending(session?: string): PermissionRequest[] {
    return [...this.#requests.values()].filter(
      (request) => request.settled === null && (session === undefined || request.session === session),
    );
  }

  /** Throws ServeFailure `request_unknown`. */
  get(id: string): PermissionRequest {
    const request = this.#requests.get(id);
    if (request === undefined) throw new ServeFailure({ code: "request_unknown", request: id });
    return request;
  }

  /**
   * Settles a request; `first` is `false` if it was already settled in the same way. Throws ServeFailure `request_unknown`, and
   * `request_settled` when it was settled differently before.
   */
  respond(id: string, decision: Decision, by: Settler): { request: PermissionRequest; first: boolean } {
    const request = this.get(id);
    if (request.settled !== null) {
      const { behavior, by: earlier } = request.settled;
      const isDecision = earlier === "machine" || earlier === "client";
      if (isDecision && behavior === decision.behavior) return { request, first: false };
      throw new ServeFailure({ code: "request_settled", request: id, decision: behavior, by: tell(request.settled) });
    }
    const asker = this.#askers.get(id);
    const reason = decision.behavior === "deny" ? decision.reason : null;
    const settled = this.#settle(request, decision.behavior, by, reason);
    asker?.respond(decision);
    return { request: settled, first: true };
  }

  /** Withdraws a request, because its turn was aborted or its process has ended. */
  withdraw(id: string): void {
    const request = this.#requests.get(id);
    if (request === undefined || request.settled !== null) return;
    this.#settle(request, "deny", "agent", "the turn ended before anybody answered");
  }

  /** Why the requests could not be written to disk at the last attempt; `null` if they could. */
  get problem(): string | null {
    return this.#problem;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
  }

  #expire(): void {
    const nowMs = this.#now();
    for (const request of this.pending()) {
      if (request.expiresAtMs > nowMs) continue;
      const minutes = Math.round((request.expiresAtMs - request.askedAtMs) / 60_000);
      const reason = `nobody answered within ${minutes} minutes`;
      const asker = this.#askers.get(request.id);
      this.#settle(request, "deny", "expiry", reason);
      asker?.respond({ behavior: "deny", reason: `Permission denied: ${reason}.` });
    }
  }

  #settle(request: PermissionRequest, behavior: "allow" | "deny", by: Settler, reason: string | null) {
    const settled: PermissionRequest = { ...request, settled: { behavior, by, reason, atMs: this.#now() } };
    this.#requests.set(request.id, settled);
    this.#askers.delete(request.id);
    this.#save();
    const { session } = request;
    this.#events.append("permission.resolved", session, { request_id: request.id, behavior, settled_by: by, reason });
    return settled;
  }

  /** Announces a request after it was written to disk, so that every announced request still exists after a crash. */
  async #announce(request: PermissionRequest): Promise<void> {
    await this.#writing;
    if (this.#requests.get(request.id)?.settled === null)
      this.#events.append("permission.requested", request.session, show(request));
  }

  /** Writes the newest state, one write at a time. */
  #save(): void {
    this.#forgetOldest();
    this.#writing = this.#write(this.#writing);
  }

  async #write(earlier: Promise<void>): Promise<void> {
    await earlier;
    try {
      await writeJson(this.#path, [...this.#requests.values()]);
      this.#problem = null;
    } catch (error) {
      // A full disk must not stop a turn that waits for a person. get_health_details reports it.
      this.#problem = `permission requests could not be written to ${this.#path}: ${String(error)}`;
    }
  }

  #forgetOldest(): void {
    const settled = [...this.#requests.values()].filter((request) => request.settled !== null);
    for (const request of settled.slice(0, -MAX_SETTLED)) this.#requests.delete(request.id);
  }
}

/** A request as the tools' answers show it. */
export function show(request: PermissionRequest, nowMs?: number): Record<string, unknown> {
  const { id, session, cwd, tool, toolUse, input, why, askedAtMs, expiresAtMs, settled } = request;
  const age = nowMs === undefined ? {} : { age_ms: nowMs - askedAtMs };
  const base = { request_id: id, session_id: session, cwd, tool, tool_use_id: toolUse, input, why, ...age };
  return { ...base, asked_at_ms: askedAtMs, expires_at_ms: expiresAtMs, settled };
}

function tell({ by, reason }: Settlement): string {
  return reason === null ? by : `${by} (${reason})`;
}
