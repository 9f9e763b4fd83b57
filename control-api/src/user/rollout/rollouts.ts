import type { OperatorError } from "#protocol/error.ts";
import { MAX_REASON_CHARACTERS } from "#protocol/limits.ts";
import { type Rollout, type StartRollout, WAIT_MS, WATCH_MS } from "#protocol/rollout.ts";
import { type Candidate, chooseCanaries } from "./canaries.ts";
import type { RolloutHead, RolloutRow, RolloutStore } from "./rollout-store.ts";

/**
 * Uploads in one step, and the time between two steps. An upload takes two requests of the API, which allows 1,200 in five minutes for
 * the whole account: this takes 720 of them, and a way back at the same pace fits beside it. 1,000 machines take 14 minutes.
 */
const UPLOADS_PER_STEP = 6;
export const STEP_MS = 5_000;

/** Checks of one machine that fail in a row before it goes back at once. One may meet the restart of the script. */
const MISSES = 3;

/** Cloudflare may run the former script for seconds to minutes after an upload (Durable Objects, "Known issues"). */
const LATE_MS = 15 * 60_000;

/** The share of machines that may go back before everybody goes back, and how many may in any case. */
const FAILED_SHARE = 0.02;
const FAILED_COUNT = 1;

/** What an upload came to: done, refused for good by the platform (with its words), or it failed for now. */
export type Uploaded = { done: true } | { refused: string } | { later: string };

/** How a machine is, from outside. */
export type Health = {
  /** Its link is there, and its script says that it has this template. */
  online: boolean;
  template: string | null;
  /** Its MCP server answered a call. `null`: its script did not say how it is, so none was made. */
  answers: boolean | null;
  exchanges: number;
};

/** What a rollout does to the world. In production this is the user's object; a test has a thousand machines and a clock of its own. */
export type RolloutPorts = {
  now(): number;
  /** All machines, hosted servers included. */
  machines(): readonly Candidate[];
  template(): string;
  health(name: string): Promise<Health>;
  /** The code that a machine's script has. @throws when it cannot be read */
  codeOf(name: string): Promise<string>;
  /** Uploads the current template, or an earlier one: its version and its code. */
  upload(name: string, earlier: { template: string; code: string } | null): Promise<Uploaded>;
  /** Has `step` called after this time, with this run. */
  wake(ms: number, run: string): Promise<void>;
  newRun(): string;
};

/**
 * One user's rollouts: a state machine that is driven by `step`. Every step looks at what the store says, does a bounded amount of work,
 * writes down what came of it and asks to be woken. Nothing is kept in memory between two steps, so the object may be restarted at any
 * moment: an upload that was under way is made again, which changes nothing.
 */
export class Rollouts {
  readonly #store: RolloutStore;
  readonly #ports: RolloutPorts;

  constructor(store: RolloutStore, ports: RolloutPorts) {
    this.#store = store;
    this.#ports = ports;
  }

  get current(): Rollout | null {
    const { head } = this.#store;
    if (head === null) return null;
    const { run: _, ...rest } = head;
    const machines = this.#store
      .machines()
      .map(({ seenMs: _seen, answered: _answered, misses: _misses, ...machine }) => machine);
    return { ...rest, machines };
  }

  /** Whether a machine that has just dialled in may get the current template outside of a rollout. */
  get allowsUpgradeAtDial(): boolean {
    const { head, mode } = this.#store;
    if (head?.template === this.#ports.template()) return head.state === "done";
    return mode === "automatic";
  }

  /** Whether a machine of this name is part of it. */
  has(name: string): boolean {
    return this.#store.has(name);
  }

  /** A name stands for none of its machines any more. Whatever has it next may be of another kind, for which the earlier template is none. */
  forget(name: string): void {
    this.#store.forget(name);
  }

  async start({ canary, watchMs = WATCH_MS, waitMs = WAIT_MS }: StartRollout): Promise<Rollout | OperatorError> {
    const { head } = this.#store;
    const template = this.#ports.template();
    if (head !== null && (head.state === "canaries" || head.state === "everyone" || head.state === "going_back"))
      return invalid("A rollout is under way. Look at it with `operator rollout status`.");
    const outdated = this.#ports.machines().filter((machine) => machine.template !== template);
    if (outdated.length === 0) return invalid("Every machine has the current template already.");
    const canaries = chooseCanaries(outdated, canary);
    if (typeof canaries === "string") return invalid(canaries);
    const nowMs = this.#ports.now();
    const run = this.#ports.newRun();
    this.#store.begin(
      { state: "canaries", isPaused: false, template, startedMs: nowMs, watchMs, waitMs, reason: null, run },
      outdated.map(({ name, online, template: before }) => ({
        name,
        isCanary: canaries.has(name),
        step: online ? "waiting" : "offline",
        before,
        sinceMs: nowMs,
        reason: null,
        seenMs: null,
        answered: false,
        misses: 0,
      })),
    );
    await this.#ports.wake(0, run);
    return this.#shown();
  }

  async pause(): Promise<Rollout | OperatorError> {
    return this.#change((head) => (isOver(head) ? null : { ...head, isPaused: true }));
  }

  async resume(): Promise<Rollout | OperatorError> {
    return this.#change((head) => (isOver(head) || !head.isPaused ? null : { ...head, isPaused: false }));
  }

  /** Every machine gets the template that it had, also after the rollout is done. */
  async back(reason = "somebody asked for it"): Promise<Rollout | OperatorError> {
    return this.#change((head) => (head.state === "back" ? null : this.#goingBack(head, reason)));
  }

  /**
   * Goes on after the object was restarted, whatever it was doing. Nobody knows whether an upload whose machine has not been seen with
   * the new template was made, so it is made again.
   */
  async revive(): Promise<void> {
    const { head } = this.#store;
    if (head === null || isOver(head)) return;
    // If Operator has another template by now, all that are watched go back (`step`).
    if (head.template === this.#ports.template())
      for (const machine of this.#store.at("watched"))
        if (machine.seenMs === null) this.#move(machine, "waiting", machine.reason);
    const run = this.#ports.newRun();
    this.#store.head = { ...head, run };
    await this.#ports.wake(STEP_MS, run);
  }

  /** Does what is due. @param run of the wake-up; one of before the last start, pause or resume does nothing */
  async step(run: string): Promise<void> {
    const { head } = this.#store;
    if (head === null || head.run !== run || isOver(head)) return;
    // Operator has been upgraded meanwhile, or went back: what it would upload from now on is not what the canaries have tried.
    if (head.state !== "going_back" && head.template !== this.#ports.template())
      this.#store.head = this.#goingBack(head, "this Operator has another template since: start another rollout");
    else await this.#watch(head);
    this.#decide();
    await this.#takeBack();
    const decided = this.#store.head ?? head;
    const isForward = decided.state === "canaries" || decided.state === "everyone";
    if (isForward && !decided.isPaused) await this.#upload(decided);
    this.#decide();
    const after = this.#store.head ?? head;
    // Somebody may have paused it or taken it back meanwhile, which has its own wake-up.
    if (after.run === run && !isOver(after))
      await this.#ports.wake(Math.min(STEP_MS, Math.max(1_000, after.watchMs / 4)), run);
  }

  async #change(next: (head: RolloutHead) => RolloutHead | null): Promise<Rollout | OperatorError> {
    const { head } = this.#store;
    if (head === null) return invalid("There is no rollout.");
    const changed = next(head);
    if (changed === null) return invalid("The rollout is not in a state in which this can be done.");
    const run = this.#ports.newRun();
    this.#store.head = { ...changed, run };
    await this.#ports.wake(0, run);
    return this.#shown();
  }

  #goingBack(head: RolloutHead, reason: string): RolloutHead {
    const present = new Map(this.#ports.machines().map(({ name, template }) => [name, template]));
    // After a restart, one that waits may have the template already (`revive`).
    const waiting = this.#store
      .at("waiting")
      .filter(({ name, before }) => present.get(name) === head.template && this.#store.hasTemplate(before));
    for (const machine of [...waiting, ...this.#store.at("watched", "healthy")])
      this.#move(machine, "going_back", reason);
    return { ...head, state: "going_back", isPaused: false, reason };
  }

  /** Looks at the machines that have the new template. */
  async #watch({ watchMs, template }: RolloutHead): Promise<void> {
    await Promise.all(
      this.#store.at("watched").map(async (machine) => {
        const health = await this.#health(machine.name);
        const nowMs = this.#ports.now();
        if (health.template !== null && health.template !== template) {
          // Not a fault of the template, which does not run yet. Its time begins when it does.
          if (nowMs - machine.sinceMs >= LATE_MS)
            this.#move(machine, "going_back", "the platform still runs its former script");
          return;
        }
        const seenMs = machine.seenMs ?? (health.template === null ? null : nowMs);
        const isTimeOver = nowMs - (seenMs ?? machine.sinceMs) >= watchMs;
        const problem = problemIn(health, machine);
        if (problem === null) {
          if (isTimeOver) this.#move(machine, "healthy", null);
          else this.#store.put({ ...machine, seenMs, misses: 0 });
          return;
        }
        // The link needs a moment to return, so only the end of the time decides about it. A server that does not answer over a link
        // that is there has no such excuse.
        const misses = problem.isFinal ? machine.misses + 1 : machine.misses;
        if (isTimeOver || misses >= MISSES) this.#move(machine, "going_back", problem.says);
        else this.#store.put({ ...machine, seenMs, misses });
      }),
    );
  }

  /** Moves the rollout on when the machines allow it, or back when they demand it. */
  #decide(): void {
    const { head } = this.#store;
    if (head === null || isOver(head)) return;
    const failed = this.#store.at("going_back", "back", "refused");
    const gone = failed.length;
    if (head.state === "going_back") {
      if (this.#store.at("going_back").length === 0) this.#store.head = { ...head, state: "back" };
      return;
    }
    const canary = failed.find(({ isCanary }) => isCanary);
    const [first] = failed;
    const all = this.#store.machines().length;
    if (canary !== undefined) {
      this.#store.head = this.#goingBack(head, `canary ${canary.name}: ${canary.reason}`);
    } else if (first !== undefined && gone > Math.max(FAILED_COUNT, all * FAILED_SHARE)) {
      this.#store.head = this.#goingBack(head, `${gone} machines failed; ${first.name}: ${first.reason}`);
    } else if (head.state === "canaries") {
      const isThrough = !this.#store.at("waiting", "watched").some(({ isCanary }) => isCanary);
      if (isThrough) this.#store.head = { ...head, state: "everyone" };
    } else if (this.#store.at("waiting", "watched", "going_back").length === 0)
      this.#store.head = { ...head, state: "done" };
    // A decision may be followed by another at once: a rollout with canaries alone is done with them.
    if (this.#store.head?.state !== head.state) this.#decide();
  }

  async #upload(head: RolloutHead): Promise<void> {
    const due = this.#store.at("waiting").filter(({ isCanary }) => isCanary || head.state === "everyone");
    // Machines with calls in progress do not use up the step of those without.
    let left = UPLOADS_PER_STEP;
    // One after the other, so that a template which many machines have is read once.
    for (const machine of due.slice(0, left)) await this.#keepCode(machine);
    for (let at = 0; at < due.length && left > 0; at += UPLOADS_PER_STEP) {
      const batch = due.slice(at, at + left);
      const uploaded = await Promise.all(batch.map((machine) => this.#uploadTo(machine, head)));
      left -= uploaded.filter((wasTried) => wasTried).length;
    }
  }

  /** Answers whether it has asked the API for anything. */
  async #uploadTo(machine: RolloutRow, { waitMs }: RolloutHead): Promise<boolean> {
    const { name } = machine;
    const known = this.#ports.machines().find((one) => one.name === name);
    if (known === undefined) return (this.#store.forget(name), false);
    if (!known.online && !machine.isCanary) return (this.#move(machine, "offline", null), false);
    const health = await this.#health(name);
    const isBusy = health.exchanges > 0 && this.#ports.now() - machine.sinceMs < waitMs;
    if (isBusy) return false;
    const unreadable = await this.#keepCode(machine);
    if (unreadable !== null) {
      this.#move(machine, "refused", unreadable);
      return true;
    }
    // Written before the upload: if this object is restarted in between, the machine is found with the new template, and watched.
    const watched = { ...machine, answered: health.answers === true };
    this.#move(watched, "watched", null);
    const outcome = await this.#ports.upload(name, null);
    if ("done" in outcome) return true;
    if ("refused" in outcome) this.#move(machine, "refused", outcome.refused);
    // The API is busy or cannot be reached, which is not the machine's fault. It is tried again for as long as somebody lets it.
    else this.#store.put({ ...machine, reason: outcome.later.slice(0, MAX_REASON_CHARACTERS) });
    return true;
  }

  /** Keeps the code of a machine's present template, for the way back. Answers why it cannot be had; `null` if it is kept. */
  async #keepCode({ name, before }: RolloutRow): Promise<string | null> {
    if (this.#store.hasTemplate(before)) return null;
    try {
      this.#store.keepTemplate(before, await this.#ports.codeOf(name));
      return null;
    } catch (reason) {
      return `its present template could not be read, so there would be no way back: ${String(reason)}`;
    }
  }

  /** Gives machines the template back that they had. */
  async #takeBack(): Promise<void> {
    await Promise.all(
      this.#store
        .at("going_back")
        .slice(0, UPLOADS_PER_STEP)
        .map(async (machine) => {
          const { name, before, reason } = machine;
          if (!this.#ports.machines().some((one) => one.name === name)) return this.#store.forget(name);
          const code = this.#store.template(before);
          const outcome = await this.#ports.upload(name, { template: before, code });
          if ("done" in outcome) return this.#move(machine, "back", reason);
          // It stays on its way back: there is nothing better to do with it than to try again.
          console.error("a machine could not get its former template back", { machine: name, ...outcome });
        }),
    );
  }

  async #health(name: string): Promise<Health> {
    try {
      return await this.#ports.health(name);
    } catch {
      // A script that does not answer is what a check is there to find.
      return { online: false, template: null, answers: null, exchanges: 0 };
    }
  }

  #move(machine: RolloutRow, step: RolloutRow["step"], reason: string | null): void {
    const said = reason?.slice(0, MAX_REASON_CHARACTERS) ?? null;
    this.#store.put({ ...machine, step, reason: said, sinceMs: this.#ports.now(), seenMs: null, misses: 0 });
  }

  #shown(): Rollout {
    const { current } = this;
    if (current === null) throw new Error("a rollout that was just written is gone");
    return current;
  }
}

function isOver({ state }: RolloutHead): boolean {
  return state === "done" || state === "back";
}

/** What is wrong with a machine; `isFinal` if waiting would not help. */
function problemIn(health: Health, machine: RolloutRow): { says: string; isFinal: boolean } | null {
  if (health.template === null) return { says: "its script does not answer", isFinal: false };
  if (!health.online) return { says: "its link did not come back", isFinal: false };
  if (machine.answered && health.answers !== true)
    return { says: "its MCP server answered calls before, and does not now", isFinal: true };
  return null;
}

function invalid(reason: string): OperatorError {
  return { code: "invalid_request", reason };
}
