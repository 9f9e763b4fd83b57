import * as z from "zod";
import {
  type Answers,
  answersProblem,
  askKindOf,
  ASKED_TYPE,
  boundedAsk,
  isSameDecision,
  Questions,
  SETTLED_TYPE,
} from "#protocol/ask.ts";
import { isRecord } from "#protocol/json.ts";
import type { Decision, PermissionAsk } from "../agent/agent.ts";
import type { EventLog } from "../event-log.ts";
import { ServeFailure } from "../error.ts";
import { readJson, writeJson } from "../../system/json-file.ts";
import { isDecided, PermissionRequest, type Settlement, type Settler } from "./pending.ts";

/** Number of settled requests that are kept, so that a second answer can be told who gave the first. */
const MAX_SETTLED = 500;

/**
 * What they may have together, in characters of JSON: a request may hold a whole file, and all of them are written to disk with each change. The
 * newest are kept.
 */
const MAX_SETTLED_CHARACTERS = 8 * 1024 * 1024;

/** How often requests are checked for expiry. */
const EXPIRY_LOOK_MS = 1_000;

const Stored = z.array(PermissionRequest);

export interface Asker {
  readonly session: string;
  readonly cwd: string;
  /** Passes the decision to the agent. `isDecided` is `false` if nobody decided in time. */
  readonly respond: (decision: Decision, isDecided: boolean) => void;
}

/**
 * All that sessions of this machine wait for: permissions, answers to questions, approval of plans. Each is settled exactly once and
 * never reopened, regardless of who answers and where: this is the only place that settles.
 */
export class PermissionBook {
  readonly #path: string;
  readonly #events: EventLog;
  readonly #timeoutMs: () => number;
  readonly #now: () => number;
  readonly #requests = new Map<string, PermissionRequest>();
  readonly #askers = new Map<string, Asker>();
  readonly #timer: NodeJS.Timeout;
  readonly #listeners = new Set<(request: PermissionRequest) => void>();
  #writing: Promise<void> = Promise.resolve();
  /** Whether a write waits for the one before it, and will have what changes until then. */
  #isNextSet = false;
  #problem: string | null = null;

  constructor(path: string, events: EventLog, timeoutMs: () => number, now: () => number = Date.now) {
    this.#path = path;
    this.#events = events;
    this.#timeoutMs = timeoutMs;
    this.#now = now;
    this.#timer = setInterval(() => this.expire(), EXPIRY_LOOK_MS);
    this.#timer.unref();
  }

  /** Reads the requests of an earlier run. Their turns have ended with it, so those that were open are closed now. */
  async load(): Promise<void> {
    const stored = Stored.safeParse((await readJson(this.#path)) ?? []);
    if (!stored.success) throw new Error(`${this.#path} is not readable: ${z.prettifyError(stored.error)}`);
    for (const request of stored.data) this.#requests.set(request.id, request);
    for (const request of this.pending()) {
      this.#settle(request, nobody("restart", "codez serve and the turn ended while this request was waiting"));
    }
    await this.#writing;
  }

  ask(asker: Asker, ask: PermissionAsk): PermissionRequest {
    const askedAtMs = this.#now();
    const { id, tool, toolUse, input, why, sessionRules = [] } = ask;
    const { session, cwd } = asker;
    const kind = askKindOf(tool, input);
    const expiresAtMs = askedAtMs + this.#timeoutMs();
    const asked = { id, kind, session, cwd, tool, toolUse, input, why, sessionRules: [...sessionRules] };
    const request = { ...asked, askedAtMs, expiresAtMs, settled: null };
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

  /** Calls the listener with each request that begins to wait from now on. The returned function ends that. */
  subscribe(listener: (request: PermissionRequest) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Settles a request; `first` is `false` if it was already settled in the same way. Throws ServeFailure `request_unknown`,
   * `request_settled` when it was settled differently before, and `arguments_invalid` for answers that do not fit the questions.
   * @param who the person, as far as `by` does not say it.
   */
  respond(
    id: string,
    decision: Decision,
    by: Settler,
    who: string | null = null,
  ): { request: PermissionRequest; first: boolean } {
    const request = this.get(id);
    const answers = decision.behavior === "allow" ? decision.answers : undefined;
    if (request.settled !== null) {
      if (isDecided(request.settled) && isSameDecision(request.settled, decision)) return { request, first: false };
      const { behavior, atMs } = request.settled;
      throw new ServeFailure({
        code: "request_settled",
        request: id,
        decision: behavior,
        by: tell(request.settled),
        atMs,
      });
    }
    const forSession = decision.behavior === "allow" && decision.forSession === true;
    const problem = decision.behavior === "allow" ? problemOf(request, answers, forSession) : null;
    if (problem !== null) throw new ServeFailure({ code: "arguments_invalid", detail: problem });
    const asker = this.#askers.get(id);
    const reason = decision.behavior === "deny" ? decision.reason : null;
    const settled = this.#settle(request, {
      behavior: decision.behavior,
      by,
      who,
      reason,
      answers: answers ?? null,
      forSession,
    });
    asker?.respond(decision, true);
    return { request: settled, first: true };
  }

  /** Withdraws a request, because its turn was aborted or its process has ended. */
  withdraw(id: string): void {
    const request = this.#requests.get(id);
    if (request === undefined || request.settled !== null) return;
    this.#settle(request, nobody("agent", "the turn ended before anybody answered"));
  }

  /** A terminal that asked as well does not wait any more: somebody has answered there. Nothing was allowed from here. */
  leave(id: string): void {
    const request = this.#requests.get(id);
    if (request === undefined || request.settled !== null) return;
    this.#settle(request, nobody("terminal", "it was answered in the terminal"));
  }

  /** Why the requests could not be written to disk at the last attempt; `null` if they could. */
  get problem(): string | null {
    return this.#problem;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#writing;
  }

  /** Settles the requests whose time is up. Called every second. */
  expire(): void {
    const nowMs = this.#now();
    for (const request of this.pending()) {
      if (request.expiresAtMs > nowMs) continue;
      const minutes = Math.round((request.expiresAtMs - request.askedAtMs) / 60_000);
      const reason = `nobody answered within ${minutes} minutes`;
      const asker = this.#askers.get(request.id);
      this.#settle(request, nobody("expiry", reason));
      asker?.respond({ behavior: "deny", reason: expired(request, reason) }, false);
    }
  }

  #settle(request: PermissionRequest, settlement: Omit<Settlement, "atMs">): PermissionRequest {
    const settled: PermissionRequest = { ...request, settled: { ...settlement, atMs: this.#now() } };
    this.#requests.set(request.id, settled);
    this.#askers.delete(request.id);
    this.#save();
    const { behavior, by, who, reason, answers, forSession } = settlement;
    this.#events.append(SETTLED_TYPE[request.kind], request.session, {
      request_id: request.id,
      behavior,
      settled_by: by,
      who,
      reason,
      answers,
      for_session: forSession,
    });
    return settled;
  }

  /** Announces a request after it was written to disk, so that every announced request still exists after a crash. */
  async #announce(request: PermissionRequest): Promise<void> {
    await this.#writing;
    if (this.#requests.get(request.id)?.settled !== null) return;
    this.#events.append(ASKED_TYPE[request.kind], request.session, show(request));
    for (const listener of this.#listeners) listener(request);
  }

  /** Writes the newest state, one write at a time. Changes while one is being written share the next. */
  #save(): void {
    this.#forgetOldest();
    if (this.#isNextSet) return;
    this.#isNextSet = true;
    this.#writing = this.#write(this.#writing);
  }

  async #write(earlier: Promise<void>): Promise<void> {
    await earlier;
    this.#isNextSet = false;
    try {
      await writeJson(this.#path, [...this.#requests.values()]);
      this.#problem = null;
    } catch (error) {
      // A full disk must not stop a turn that waits for a person. get_health_details reports it.
      this.#problem = `permission requests could not be written to ${this.#path}: ${String(error)}`;
    }
  }

  #forgetOldest(): void {
    const newestFirst = [...this.#requests.values()].filter(({ settled }) => settled !== null).toReversed();
    let characters = 0;
    for (const [index, { id, input }] of newestFirst.entries()) {
      characters += JSON.stringify(input ?? null).length;
      // The newest is always kept: whoever has just answered may ask again.
      if (index >= MAX_SETTLED || (index > 0 && characters > MAX_SETTLED_CHARACTERS)) this.#requests.delete(id);
    }
  }
}

/** A request as the tools' answers and the events show it: whole, or with a mark where it was cut. */
export function show(request: PermissionRequest, nowMs?: number): Record<string, unknown> {
  const { id, kind, session, cwd, tool, toolUse, why, sessionRules, askedAtMs, expiresAtMs, settled } = request;
  const { input, isWhole } = boundedAsk(kind, request.input);
  const age = nowMs === undefined ? {} : { age_ms: nowMs - askedAtMs };
  const base = {
    request_id: id,
    kind,
    session_id: session,
    cwd,
    tool,
    tool_use_id: toolUse,
    why,
    session_rules: sessionRules,
    ...age,
  };
  const asked = { ...askedIn(kind, isWhole ? input : null), input, is_whole: isWhole };
  return { ...base, ...asked, asked_at_ms: askedAtMs, expires_at_ms: expiresAtMs, settled };
}

/** The questions or the plan, where clients of MCP Events look for them. */
function askedIn(kind: PermissionRequest["kind"], input: unknown): Record<string, unknown> {
  if (!isRecord(input) || kind === "permission") return {};
  return kind === "question" ? { questions: input["questions"] } : { plan: input["plan"] };
}

function problemOf(
  { kind, input, sessionRules }: PermissionRequest,
  answers: Answers | undefined,
  forSession: boolean,
): string | null {
  if (forSession && sessionRules.length === 0)
    return "The agent offers nothing to allow for the session. Allow this request once, or deny it.";
  if (kind !== "question")
    return answers === undefined ? null : "Only a question takes answers. Leave them out to allow this.";
  const questions = Questions.safeParse(isRecord(input) ? input["questions"] : null);
  return answersProblem(questions.data ?? [], answers);
}

/** What the model reads when nobody answered. */
function expired({ kind }: PermissionRequest, reason: string): string {
  switch (kind) {
    case "permission":
      return `Permission denied: ${reason}.`;
    case "question":
      return `No answer: ${reason}. Do what does not depend on the answer, say what you assumed, and end the turn.`;
    case "plan":
      return `The plan is not approved: ${reason}. Do not carry it out. End the turn.`;
  }
}

function nobody(by: Settler, reason: string): Omit<Settlement, "atMs"> {
  return { behavior: "deny", by, who: null, reason, answers: null, forSession: false };
}

function tell({ by, who, reason }: Settlement): string {
  const named = who === null ? by : `${by}, ${who}`;
  return reason === null ? named : `${named} (${reason})`;
}
