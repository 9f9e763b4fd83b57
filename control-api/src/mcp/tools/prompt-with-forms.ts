import { type CallToolResult, inputRequired, type InputRequiredResult } from "@modelcontextprotocol/server";
import { ASKED_TYPE, SETTLED_TYPE } from "#protocol/ask.ts";
import { hex, sha256 } from "#protocol/bytes.ts";
import { DEFAULT_WAIT_MS, MAX_WAIT_MS } from "#protocol/coding-tools/prompt-tools.ts";
import { detailsOf, type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { structuredResult } from "#protocol/tool-result.ts";
import { note } from "../../audit/note.ts";
import { type Elicit, FORM, type Retry } from "../../elicitation/elicit.ts";
import { ClientAnswer, type Form, formOf, verdictIn } from "../../elicitation/form.ts";
import { ARRIVAL_MS, MAX_ROUNDS, PROGRESS_MS } from "../../elicitation/limits.ts";
import { type AskedState, opened, sealed } from "../../elicitation/state.ts";
import { encodeCursor } from "../../events/cursor.ts";
import { type MachineEvent, poll } from "../../events/poll.ts";
import { programAs } from "../../inbox/decider.ts";
import type { DecisionResult, InboxItem, InboxPage, Verdict } from "../../inbox/inbox-item.ts";
import { inboxView } from "../../inbox/inbox-view.ts";
import type { MachineRecord } from "../../machines/machine-record.ts";
import { sessionHandle } from "../../machines/session-handle.ts";
import { registryOf } from "../../user/user-rpc.ts";
import { relayAndLearn } from "./session-relay.ts";
import { invalid, type ToolCall, type ToolOutcome } from "./tool.ts";

/** Events with which the turn that a caller waits for is over, or its session is. */
const OVER = ["session.idle", "session.error", "session.updated", "session.ended", "session.deleted"];
const ASKED = Object.values(ASKED_TYPE);
const SETTLED = Object.values(SETTLED_TYPE);

/** What a call waits for next: a request that a person can be asked, the end of its turn, or that its time is up. */
type Next = { readonly is: "asked"; readonly item: InboxItem } | { readonly is: "over"; readonly event: MachineEvent } | { readonly is: "late" }; // prettier-ignore

/**
 * `send_and_wait` for a client that can show its person a form, on a machine whose person allowed that. When the session waits for a
 * person, the client shows that one request, the answer goes the way of every decision (inbox/decisions.ts: the first one wins, wherever
 * it is made), and the call waits on. In every other case it is the machine's own `send_and_wait`.
 */
export async function promptWithForms(
  call: ToolCall,
  machine: string,
  args: Record<string, unknown>,
  session: string,
): Promise<ToolOutcome> {
  const { env, caller, elicit = null } = call;
  if (elicit === null) return relayAndLearn(call, machine, args, session);
  const registry = registryOf(env, caller.user);
  const record: MachineRecord | null = await registry.machine(machine);
  const prompt = new AskedPrompt(call, elicit, machine, session, await digestOf(args));
  // First of all: the prompt of a call that comes back was sent, whatever has become of forms and of the machine since then.
  if (elicit.by === "result" && elicit.retry !== null) {
    if (record === null) throw new OperatorFailure({ code: "machine_unknown", machine });
    return prompt.resume(elicit.retry);
  }
  if (record === null || !record.elicitation) return relayAndLearn(call, machine, args, session);
  // Read before the prompt is sent, so that nothing that its turn does is missed.
  const cursor = encodeCursor(await registry.newestEvent());
  const result = await relayAndLearn(call, machine, args, session);
  const told = toldIn(result);
  if (result.isError === true || told["status"] !== "waiting") return result;
  return prompt.begin(cursor, typeof told["turn_id"] === "string" ? told["turn_id"] : null, result);
}

/** One prompt, from the moment its session waits for a person. */
class AskedPrompt {
  readonly #call: ToolCall;
  readonly #elicit: Elicit;
  readonly #machine: string;
  readonly #session: string;
  readonly #digest: string;
  readonly #deadlineMs: number;
  #cursor = "";
  #turn: string | null = null;
  #round = 0;

  constructor(call: ToolCall, elicit: Elicit, machine: string, session: string, digest: string) {
    this.#call = call;
    this.#elicit = elicit;
    this.#machine = machine;
    this.#session = session;
    this.#digest = digest;
    const { timeout_ms: asked } = call.args;
    const waitMs = typeof asked === "number" && asked > 0 ? Math.min(asked, MAX_WAIT_MS) : DEFAULT_WAIT_MS;
    this.#deadlineMs = Date.now() + waitMs;
  }

  /** @param result the machine's own answer, for when nobody can be asked here */
  async begin(cursor: string, turn: string | null, result: CallToolResult): Promise<ToolOutcome> {
    this.#cursor = cursor;
    this.#turn = turn;
    const next = await this.#next(Math.min(this.#deadlineMs, Date.now() + ARRIVAL_MS));
    return next.is === "late" ? result : this.#follow(next);
  }

  /** Goes on when the client has come back with its person's answer. The prompt is not sent again. */
  async resume({ state: text, responses }: Retry): Promise<ToolOutcome> {
    const { env, caller } = this.#call;
    const state = await opened(env, caller.user, text);
    if (state === null || !this.#isOurs(state))
      return invalid(
        "This answer does not belong to this call, or comes too late. The prompt was sent; see list_pending and poll_events.",
      );
    this.#cursor = state.cursor;
    this.#turn = state.turn;
    this.#round = state.round;
    const item: InboxItem | null = await registryOf(env, caller.user).inboxItem(caller.computers, state.item);
    // Only what the client sent under that name, and nothing that a member called "__proto__" lends it.
    const answer = Object.hasOwn(responses, FORM) ? (ClientAnswer.safeParse(responses[FORM]).data ?? null) : null;
    // Without an item it was forgotten meanwhile, and there is nothing to decide.
    const problem = item === null ? null : await this.#decide(item, answer);
    return problem === null ? this.#follow(await this.#next(this.#deadlineMs)) : this.#still(problem);
  }

  async #follow(first: Next): Promise<ToolOutcome> {
    const heartbeat = this.#heartbeat();
    try {
      for (let next = first; ; next = await this.#next(this.#deadlineMs)) {
        if (next.is === "over") return this.#ended(next.event);
        if (next.is === "late") return await this.#still({});
        const { item } = next;
        if (!(await this.#mayAsk()))
          return await this.#still({ not_asked: "Forms are off for this machine or client." });
        const form = formOf(item, this.#inboxUrl);
        if (form === null) return await this.#still({ not_asked: "This request is too large for a form." });
        this.#round += 1;
        if (this.#elicit.by === "result") {
          if (this.#round > MAX_ROUNDS) return await this.#still({ not_asked: "This call has asked often enough." });
          return await this.#asResult(item, form);
        }
        const answered = await this.#ask(item, form, this.#elicit.ask);
        const problem = answered === "elsewhere" ? null : await this.#decide(item, answered);
        if (problem !== null) return await this.#still(problem);
      }
    } finally {
      clearInterval(heartbeat);
    }
  }

  /** Whether a form may be shown now. The machine's person can switch forms off at any time, also during a call. */
  async #mayAsk(): Promise<boolean> {
    const { env, caller } = this.#call;
    if (this.#elicit.by === "result" && !this.#elicit.canShow) return false;
    const record: MachineRecord | null = await registryOf(env, caller.user).machine(this.#machine);
    return record?.elicitation === true;
  }

  /** The form as the call's result. The call ends with it, and goes on when the client comes back. */
  async #asResult(item: InboxItem, form: Form): Promise<InputRequiredResult> {
    const { env, caller } = this.#call;
    const requestState = await sealed(env, caller.user, {
      caller: this.#caller,
      call: this.#digest,
      machine: this.#machine,
      session: this.#session,
      turn: this.#turn,
      item: item.id,
      cursor: this.#cursor,
      round: this.#round,
    });
    return inputRequired({ inputRequests: { [FORM]: inputRequired.elicit(form) }, requestState });
  }

  /** Puts the form to the client, until it answers, the request is settled elsewhere, or the call's time is up. */
  async #ask(
    item: InboxItem,
    form: Form,
    ask: Extract<Elicit, { by: "request" }>["ask"],
  ): Promise<ClientAnswer | null | "elsewhere"> {
    const over = new AbortController();
    const signal = AbortSignal.any([over.signal, this.#call.signal]);
    const untilMs = Math.min(this.#deadlineMs, item.untilMs);
    const asked = ask(form, Math.max(0, untilMs - Date.now()), signal);
    try {
      return await Promise.race([asked, this.#settledElsewhere(item, untilMs, signal)]);
    } finally {
      over.abort();
      await asked; // the client is told that nobody waits for its answer
    }
  }

  /** Resolves when the request does not wait any more. Until then it reads what happens in the session. */
  async #settledElsewhere({ id }: InboxItem, untilMs: number, signal: AbortSignal): Promise<"elsewhere" | null> {
    const { env, caller } = this.#call;
    let cursor = this.#cursor;
    while (!signal.aborted) {
      const item: InboxItem | null = await registryOf(env, caller.user).inboxItem(caller.computers, id);
      if (item === null || item.settled !== null) return "elsewhere";
      const leftMs = untilMs - Date.now();
      if (leftMs <= 0) break;
      ({ cursor } = await this.#poll([...SETTLED, ...OVER], cursor, leftMs, signal));
    }
    return null;
  }

  /** What to tell the model if nothing was decided; `null` if it was, here or elsewhere. */
  async #decide(item: InboxItem, answer: ClientAnswer | null): Promise<Record<string, unknown> | null> {
    if (answer === null) return { not_decided: "Nobody answered the form in time." };
    if (answer.action !== "accept") return { not_decided: "The form was closed or declined." };
    const verdict: Verdict | null = verdictIn(item, answer);
    if (verdict === null) return { not_decided: "The form was not filled in." };
    const { env, caller } = this.#call;
    const by = programAs("form", `somebody who was asked in ${caller.client}`, caller);
    const decided: DecisionResult | OperatorError = await registryOf(env, caller.user).decide(item.id, verdict, by);
    const error = "code" in decided ? decided : null;
    const subject = `${item.kind} ${verdict.behavior === "allow" ? "allowed" : "denied"} in a form`;
    const outcome = error?.code ?? "ok";
    note(env, caller.user, { kind: "permission", client: caller.client, machine: item.machine, subject, outcome });
    // Somebody else was first: that counts, and the turn goes on with it.
    if (error === null || error.code === "already_decided") return null;
    return { not_decided: detailsOf(error).message };
  }

  /** Waits for the next request of this session that nobody has decided, or for the end of its turn. */
  async #next(untilMs: number): Promise<Next> {
    for (;;) {
      const [item] = await this.#waiting();
      if (item !== undefined && item.decision === null) return { is: "asked", item };
      const leftMs = untilMs - Date.now();
      if (leftMs <= 0) return { is: "late" };
      const { events, cursor } = await this.#poll([...ASKED, ...OVER], this.#cursor, leftMs, this.#call.signal);
      this.#cursor = cursor;
      const event = events.find((one) => this.#isOver(one));
      if (event !== undefined) return { is: "over", event };
    }
  }

  #poll(types: readonly string[], cursor: string, timeoutMs: number, signal: AbortSignal) {
    const { env, caller } = this.#call;
    const where = { visible: caller.computers, machine: this.#machine, session: this.#session, project: null };
    const rest = { types, notices: false, detail: "coarse", timeoutMs, signal } as const;
    return poll(env, { user: caller.user, cursor, ...where, ...rest }).then(({ result }) => result);
  }

  async #waiting(): Promise<readonly InboxItem[]> {
    const { env, caller } = this.#call;
    const page: InboxPage | null = await registryOf(env, caller.user).inbox({
      visible: caller.computers,
      machine: this.#machine,
      session: this.#session,
      state: "waiting",
      after: null,
    });
    // One whose decision is on its way to its machine comes last: nobody has to be asked about it.
    return (page?.items ?? []).toSorted(
      (one, other) => Number(one.decision !== null) - Number(other.decision !== null),
    );
  }

  /** Whether an event ends this turn. Another turn of the session may end first, if the prompt was queued behind it. */
  #isOver({ type, data }: MachineEvent): boolean {
    const told = isRecord(data) ? data : {};
    const isThis = this.#turn === null || told["turn_id"] === this.#turn;
    switch (type) {
      case "session.updated":
        return isThis && typeof told["outcome"] === "string";
      case "session.idle":
        return isThis;
      case "session.error":
        return isThis || told["turn_id"] === undefined;
      case "session.ended":
      case "session.deleted":
        return true;
      default:
        return false;
    }
  }

  /** The result as the machine's own tool would give it. */
  #ended({ type, data }: MachineEvent): CallToolResult {
    const told = isRecord(data) ? data : {};
    const outcome = told["outcome"] ?? (type === "session.idle" ? "done" : "failed");
    const result = told["result"] ?? told["message"] ?? null;
    return structuredResult({ ...this.#about, status: outcome, result, cost_usd: told["cost_usd"] ?? null });
  }

  /** The turn goes on without an answer from here. */
  async #still(more: Record<string, unknown>): Promise<CallToolResult> {
    const waiting = await this.#waiting();
    return structuredResult({
      ...this.#about,
      status: waiting.length > 0 ? "waiting" : "running",
      permission_requests: waiting.map((item) => inboxView(item, Date.now())),
      ...more,
      answer_at: this.#inboxUrl,
    });
  }

  get #about(): Record<string, unknown> {
    return { session_id: sessionHandle(this.#machine, this.#session), turn_id: this.#turn };
  }

  get #inboxUrl(): string {
    return `${this.#call.env.ORIGIN}/inbox`;
  }

  get #caller(): string {
    const { credential, client } = this.#call.caller;
    return credential ?? client;
  }

  #isOurs({ caller, call, machine, session }: AskedState): boolean {
    return caller === this.#caller && call === this.#digest && machine === this.#machine && session === this.#session;
  }

  #heartbeat(): ReturnType<typeof setInterval> | null {
    if (!this.#call.progress) return null;
    // Larger than what the machine has sent, which counts from one: progress must rise.
    const sinceMs = Date.now();
    return setInterval(() => {
      const progress = 1_000 + Math.round((Date.now() - sinceMs) / 1_000);
      const message = "the turn is still running";
      // A client that has gone reads no progress. The call's signal ends the call then.
      this.#call.onNotification("notifications/progress", { progress, message }).catch(() => undefined);
    }, PROGRESS_MS);
  }
}

function toldIn({ structuredContent, content }: CallToolResult): Record<string, unknown> {
  const [first] = Array.isArray(content) ? content : [];
  const told: unknown = structuredContent ?? (first?.type === "text" ? parseJson(first.text) : null);
  return isRecord(told) ? told : {};
}

/** What makes a call this call. A client may write the same arguments in another order. */
async function digestOf(args: Record<string, unknown>): Promise<string> {
  return hex(await sha256(JSON.stringify([args["session_id"], args["text"], args["attachments"] ?? null])));
}
