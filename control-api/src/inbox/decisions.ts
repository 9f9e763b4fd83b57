import { answersProblem, isSameDecision } from "#protocol/ask.ts";
import type { OperatorError } from "#protocol/error.ts";
import type { Bearer } from "../http/caller.ts";
import type { PageApproval } from "../machines/machine-record.ts";
import type { DispatchBindings } from "../machines/script-client.ts";
import { questionsOf } from "./asked-input.ts";
import { deliver } from "./deliver.ts";
import type { AcceptedDecision, Decider, DecisionResult, InboxItem, Verdict } from "./inbox-item.ts";
import { type Inbox, over } from "./inbox.ts";
import { settlerText } from "./settler-text.ts";

/**
 * Takes decisions for the inbox and passes them on to the machines.
 *
 * The first decision wins: it is stored before it is delivered, and from then on another one is told who decided what. It is delivered
 * until the machine has answered, or nobody waits for it any more. The machine may have been answered there in the meantime; then that
 * counts, and the person who decided here is told.
 */
export class Decisions {
  readonly #env: DispatchBindings;
  readonly #inbox: Inbox;
  readonly #user: () => string;
  readonly #again: () => Promise<void>;
  readonly #pageApproval: (machine: string) => PageApproval;
  readonly #mayDecide: (machine: string, via: "client" | "form") => boolean;
  readonly #isValid: (bearer: Bearer) => boolean;
  /** Deliveries in progress, by request. */
  readonly #delivering = new Map<number, Promise<OperatorError | null>>();

  /**
   * @param again called when a delivery failed and must be tried again later
   * @param mayDecide whether the person allows clients to decide for this machine, or to show them its requests in a form, now
   * @param pageApproval what the person wants pages to allow for this machine, now
   * @param isValid whether a token, grant or browser is still let in
   */
  constructor(
    env: DispatchBindings,
    inbox: Inbox,
    user: () => string,
    again: () => Promise<void>,
    mayDecide: (machine: string, via: "client" | "form") => boolean,
    pageApproval: (machine: string) => PageApproval,
    isValid: (bearer: Bearer) => boolean,
  ) {
    this.#env = env;
    this.#inbox = inbox;
    this.#user = user;
    this.#again = again;
    this.#mayDecide = mayDecide;
    this.#pageApproval = pageApproval;
    this.#isValid = isValid;
  }

  /**
   * Decides a request, and answers when the machine has settled it or could not be reached. Fails with not_found, already_decided,
   * invalid_request, and forbidden if the machine does not accept the decision.
   */
  async decide(id: number, verdict: Verdict, by: Decider): Promise<DecisionResult | OperatorError> {
    const nowMs = Date.now();
    const item = this.#inbox.get(id);
    if (item === null) return notThere();
    const earlier = item.settled ?? item.decision;
    const isFirst = earlier === null;
    if (earlier !== null && !isSame(item, verdict)) return alreadyDecided(item);
    if (isFirst) {
      if (!this.#isLetIn(by)) return { code: "unauthorized" };
      if (item.untilMs <= nowMs) return tooLate(item);
      const closed = by.via === "page" ? closedOn(this.#pageApproval(item.machine), item, verdict) : null;
      if (closed !== null) return { code: "forbidden", reason: closed };
      const problem = problemOf(item, verdict);
      if (problem !== null) return { code: "invalid_request", reason: problem };
      this.#inbox.decide(id, { ...verdict, by, acceptedMs: nowMs, deliveredMs: null });
    }
    const error = item.settled === null ? await this.#deliver(id) : null;
    if (error !== null) return error;
    const after = this.#inbox.get(id);
    if (after === null) return notThere();
    return after.settled === null || isSame(after, verdict) ? { item: after, isFirst } : alreadyDecided(after);
  }

  /** Delivers what is on its way to a machine that has come back, or to all (`null`). */
  async deliverAll(machine: string | null): Promise<void> {
    await Promise.all(this.#inbox.undelivered(machine).map(({ id }) => this.#deliver(id)));
  }

  /** Why a decision must not reach its machine any more, although it was accepted; `null` if it may. */
  #withdrawn(item: InboxItem, { by, ...verdict }: Verdict & { readonly by: Decider }): string | null {
    if (by.via !== "page" && !this.#isLetIn(by)) return "whoever decided it has lost access since.";
    if (by.via === "page") return closedOn(this.#pageApproval(item.machine), item, verdict);
    return this.#mayDecide(item.machine, by.via)
      ? null
      : `no client may decide for machine "${item.machine}" any more.`;
  }

  #isLetIn({ bearer }: Decider): boolean {
    return bearer === undefined || this.#isValid(bearer);
  }

  /** Delivers a decision. Answers why the machine does not accept it, or `null`. Concurrent callers share one delivery. */
  #deliver(id: number): Promise<OperatorError | null> {
    const running = this.#delivering.get(id);
    if (running !== undefined) return running;
    const delivering = this.#deliverOnce(id).finally(() => this.#delivering.delete(id));
    this.#delivering.set(id, delivering);
    return delivering;
  }

  async #deliverOnce(id: number): Promise<OperatorError | null> {
    const item = this.#inbox.get(id);
    if (item === null || item.settled !== null || item.decision === null) return null;
    if (item.untilMs <= Date.now()) {
      this.#inbox.settle(id, over("expiry", "the decision could not be delivered in time", Date.now()));
      return null;
    }
    // A decision may wait for its machine for days. When its person has withdrawn the permission by then, it must not arrive.
    const withdrawn = this.#withdrawn(item, item.decision);
    if (withdrawn !== null) {
      this.#inbox.decide(id, null);
      return { code: "forbidden", reason: withdrawn };
    }
    const delivery = await deliver(this.#env, this.#user(), item, item.decision);
    const nowMs = Date.now();
    switch (delivery.outcome) {
      case "settled":
        this.#inbox.delivered(id, nowMs);
        this.#inbox.settle(id, delivery.settlement);
        return null;
      case "gone":
        this.#inbox.settle(id, over("machine", "the machine does not know this request any more", nowMs));
        return null;
      case "refused":
        this.#inbox.decide(id, null);
        return { code: "forbidden", reason: delivery.reason };
      case "away":
        await this.#again();
        return null;
    }
  }
}

function isSame({ settled, decision }: InboxItem, verdict: Verdict): boolean {
  if (settled === null) return decision !== null && isSameDecision(decision, verdict);
  return isSameDecision(settled, verdict) && !OVER.has(settled.by);
}

/** Settlements that nobody decided, so that no answer is the same. */
const OVER: ReadonlySet<string> = new Set(["terminal", "expiry", "agent", "restart", "machine_gone"]);

/** Why a decision on a page is more than its person wants pages to allow for the machine; `null` if it is not. */
function closedOn(
  approval: PageApproval,
  { machine }: InboxItem,
  { behavior, forSession = false }: Verdict,
): string | null {
  if (behavior === "deny" || approval === "session") return null;
  if (approval === "once" && !forSession) return null;
  const what = approval === "once" ? "Only single requests" : "No requests";
  return `${what} of machine "${machine}" may be allowed on these pages: its own page says so, and can change it. It can be answered on the machine: codez permissions.`;
}

function problemOf(item: InboxItem, { behavior, answers, forSession = false }: Verdict): string | null {
  const { kind, isWhole, machine, sessionRules = [] } = item;
  if (behavior === "deny") return null;
  if (!isWhole)
    return `This request is too large to be shown here in full, so it cannot be allowed from here. Answer it on machine "${machine}": codez permissions.`;
  if (forSession && (kind !== "permission" || sessionRules.length === 0))
    return "The agent offers nothing to allow for the session. Allow this request once, or deny it.";
  if (kind !== "question") return answers === undefined ? null : "Only a question takes answers.";
  const questions = questionsOf(item);
  return questions.length > 0 ? answersProblem(questions, answers) : "These questions cannot be answered here.";
}

function notThere(): OperatorError {
  return { code: "not_found", reason: "There is no such request. It may be from a machine that you may not see." };
}

function tooLate({ kind, untilMs }: InboxItem): OperatorError {
  return { code: "already_decided", what: kind, behavior: "deny", by: "nobody: its time was up", atMs: untilMs };
}

function alreadyDecided(item: InboxItem): OperatorError {
  const { kind, settled, decision } = item;
  if (settled !== null) {
    const { atMs } = settled;
    const behavior = settled.by === "terminal" ? null : settled.behavior;
    return { code: "already_decided", what: kind, behavior, by: settlerText({ ...item, settled }), atMs };
  }
  const { behavior, by, acceptedMs }: Pick<AcceptedDecision, "behavior" | "by" | "acceptedMs"> = decision ?? {
    behavior: "deny",
    by: { via: "page", name: "somebody" },
    acceptedMs: Date.now(),
  };
  return { code: "already_decided", what: kind, behavior, by: by.name, atMs: acceptedMs };
}
