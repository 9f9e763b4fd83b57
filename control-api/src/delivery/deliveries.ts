import type { Attempt, DeliveryRecord, DeliveryRequest } from "./delivery.ts";
import type { Due, Outbox } from "./outbox.ts";

/** What delivery needs of the outside. */
export type DeliveryWorld = {
  /** Makes one attempt at the machine, which `signal` ends. Never throws. */
  readonly attempt: (due: Due, signal: AbortSignal) => Promise<Attempt>;
  /** Whether this computer is still the one that the call was meant for. */
  readonly isSame: (due: Due) => boolean;
  /** Whether the token or grant with which the call was made is still valid. A call may wait for a week. */
  readonly isAllowed: (due: Due) => boolean;
  /** Whether the machine's server knows keys, so that an attempt can be repeated. */
  readonly isRepeatable: (machine: string) => boolean;
  /** A queued call was delivered, or has ended otherwise. */
  readonly tell: (record: DeliveryRecord) => void;
  readonly now: () => number;
};

/** One round over the queued calls for a machine: it runs, or waits for the one before it. */
type Round = { all: boolean; hasBegun: boolean; ended: Promise<void> };

/** Delivers the calls of an outbox: at once when they are made, and queued ones when their machine is there. */
export class Deliveries {
  readonly #outbox: Outbox;
  readonly #world: DeliveryWorld;
  /** Attempts in progress, by call. */
  readonly #trying = new Map<number, Promise<void>>();
  /** What ends them. */
  readonly #ends = new Map<number, AbortController>();
  /** Calls whose makers wait for the answer, and need not be told of it. */
  readonly #answering = new Set<number>();
  /** The last round of each machine. They run one after the other, so that queued calls arrive in order. */
  readonly #rounds = new Map<string, Round>();

  constructor(outbox: Outbox, world: DeliveryWorld) {
    this.#outbox = outbox;
    this.#world = world;
  }

  /**
   * Takes a call in and attempts it. A call that is known is attempted again only if nothing is known of its outcome. Answers what is known
   * after that.
   */
  async send(request: DeliveryRequest): Promise<DeliveryRecord | "key_reused" | "full"> {
    const accepted = this.#outbox.accept(request, this.#world.now());
    if (typeof accepted === "string") return accepted;
    const { id, state } = accepted.record;
    this.#answering.add(id);
    try {
      // Behind those that wait already: prompts reach a session in the order in which they were accepted.
      if (state === "accepted" && request.isQueued) await this.deliver(request.machine, true);
      else if (state === "accepted") await this.#try(id);
    } finally {
      this.#answering.delete(id);
    }
    return this.#outbox.get(id) ?? accepted.record;
  }

  /**
   * Attempts the queued calls for a machine in their order, until one of them finds it away. `all`: it has just come back. Everybody who asks
   * while a round waits gets that one: a machine that reports four times a second and takes a minute for each call must not pile them up.
   */
  deliver(machine: string, all: boolean): Promise<void> {
    const last = this.#rounds.get(machine);
    if (last?.hasBegun === false) {
      last.all ||= all;
      return last.ended;
    }
    const round: Round = { all, hasBegun: false, ended: Promise.resolve() };
    round.ended = this.#roundAfter(last, machine, round).finally(() => {
      if (this.#rounds.get(machine) === round) this.#rounds.delete(machine);
    });
    this.#rounds.set(machine, round);
    return round.ended;
  }

  async #roundAfter(before: Round | undefined, machine: string, round: Round): Promise<void> {
    await before?.ended.catch(() => undefined); // whoever asked for that one gets its error
    round.hasBegun = true;
    await this.#round(machine, round.all);
  }

  async #round(machine: string, all: boolean): Promise<void> {
    for (const record of this.#outbox.expire(this.#world.now())) this.#world.tell(record);
    for (const id of this.#outbox.due(machine, all, this.#world.now())) {
      await this.#try(id);
      if (this.#outbox.get(id)?.state === "accepted") return;
    }
  }

  #try(id: number): Promise<void> {
    const trying = this.#trying.get(id) ?? this.#tryOnce(id).finally(() => this.#trying.delete(id));
    this.#trying.set(id, trying);
    return trying;
  }

  async #tryOnce(id: number): Promise<void> {
    const before = this.#outbox.get(id);
    const due = this.#outbox.begin(id, before === null || this.#world.isRepeatable(before.machine), this.#world.now());
    if (due === null || before === null) return;
    const refusal = !this.#world.isAllowed(due) ? REVOKED : this.#world.isSame(due) ? null : GONE;
    const attempt: Attempt = refusal === null ? await this.#attempt(due) : { outcome: "refused", answer: refusal };
    // The machine may have got another name meanwhile.
    const { machine } = this.#outbox.get(id) ?? before;
    this.#outbox.end(id, attempt, this.#world.isRepeatable(machine), this.#world.now());
    const after = this.#outbox.get(id);
    if (after === null) return;
    if (after.isQueued && !this.#answering.has(id) && after.state !== before.state) this.#world.tell(after);
  }

  async #attempt(due: Due): Promise<Attempt> {
    const end = new AbortController();
    this.#ends.set(due.id, end);
    try {
      return await this.#world.attempt(due, end.signal);
    } finally {
      this.#ends.delete(due.id);
    }
  }

  /** Ends the attempts whose callers have lost access, as their other calls end. */
  endRevoked(): void {
    for (const [id, end] of this.#ends) {
      const due = this.#outbox.dueOf(id);
      if (due !== null && !this.#world.isAllowed(due)) end.abort();
    }
  }
}

/** In place of a machine's answer, when the caller has lost access meanwhile. */
const REVOKED = JSON.stringify({
  isError: true,
  content: [{ type: "text", text: "unauthorized: The token of this call was revoked, or has expired." }],
});

/** In place of a machine's answer, when another computer has its name. */
const GONE = JSON.stringify({
  isError: true,
  content: [{ type: "text", text: "machine_unknown: The machine was removed, or another computer has its name now." }],
});
