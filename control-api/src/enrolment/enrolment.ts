import type { OperatorError } from "#protocol/error.ts";
import { TokenBucket } from "#protocol/token-bucket.ts";
import type { Credential } from "../http/caller.ts";
import { shown, type ShownMachine } from "../http/shown-machine.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { EnrolmentKeys, type KeyLimits, type KeyRecord, type KeyRefusal } from "./enrolment-keys.ts";
import { ENROLMENTS, MAX_KEYS, MAX_SILENT_SWEEPS, SWEEP_S } from "./limits.ts";

type Registered = { readonly machine: MachineRecord; readonly created: boolean; readonly token: string | null };

/** A machine that asks to be enrolled: its identity, and the public key of its link. */
export type EnrolRequest = { readonly identity: string; readonly linkKey?: string | undefined };

/** An enrolled machine, and what its owner's key says that it may do. */
export type Enrolled = { readonly registered: Registered; readonly tag: string; readonly policy: string | null };

/** A key as its owner sees it: with the names of its machines. */
export type ShownKey = Omit<KeyRecord, "machines" | "policy"> & {
  readonly machines: readonly string[];
  readonly hasPolicy: boolean;
};

/** What enrolling needs of the person's object. */
export type Household = {
  /** The machine of this name, or the hosted server. */
  machine(name: string): MachineRecord | null;
  /** Whether a machine is online, as its script says. */
  isOnline(name: string): Promise<boolean>;
  /** Whether a grant or token is still valid, as far as it is known here. */
  isValid(credential: Credential): boolean;
  /** The current name of the machine with this identity. */
  nameOf(identity: string): string | null;
  /** Runs the enrolments of one computer one after the other. Until it is registered, nothing says which machine it is. */
  inTurn<Result>(identity: string, enrol: () => Promise<Result>): Promise<Result>;
  register(name: string, request: EnrolRequest, rotate: boolean): Promise<Registered | OperatorError>;
  remove(machine: ShownMachine): Promise<OperatorError | null>;
  /** Removes machines soon, also if the object is stopped meanwhile, unless they are removed before that. */
  removeSoon(names: readonly string[]): Promise<void>;
  /** Calls `sweep` after so many seconds, also if the object is stopped meanwhile. */
  sweepIn(seconds: number): Promise<void>;
};

/** Machines that come and go without a person: they enrol with a key, and are removed when they end or fall silent. */
export class Enrolment {
  readonly #keys: EnrolmentKeys;
  readonly #household: Household;
  readonly #bucket = new TokenBucket(ENROLMENTS, Date.now());
  /** Names that were chosen and whose machines are being registered. */
  readonly #chosen = new Set<string>();

  constructor(sql: SqlStorage, household: Household) {
    this.#keys = new EnrolmentKeys(sql);
    this.#household = household;
    // This object was restarted while they were being registered.
    for (const identity of this.#keys.unsettled())
      if (household.nameOf(identity) === null) this.#keys.giveBack(identity);
      else this.#keys.settle(identity);
  }

  async createKey(
    user: string,
    limits: KeyLimits,
    credential: Credential | null,
  ): Promise<{ key: string; record: ShownKey } | OperatorError> {
    const isValid = (): boolean => credential === null || this.#household.isValid(credential);
    const made = await this.#keys.create(user, limits, credential, Date.now(), isValid);
    if (made === "full")
      return { code: "invalid_request", reason: `There are ${MAX_KEYS} enrolment keys already. Revoke one first.` };
    return made === null ? { code: "unauthorized" } : { key: made.key, record: this.#shown(made.record) };
  }

  keys(): ShownKey[] {
    return this.#keys.list().map((record) => this.#shown(record));
  }

  /** Revokes a key; with `andMachines`, removes the machines that it enrolled. Answers their names, or `null` if there is no such key. */
  async revokeKey(id: string, andMachines: boolean): Promise<{ tag: string; removed: string[] } | null> {
    const record = this.#keys.list().find((one) => one.id === id);
    if (record === undefined) return null;
    this.#keys.revoke(id);
    // The key is gone, so nobody could repeat this if it was interrupted.
    if (andMachines)
      await this.#household.removeSoon(record.machines.flatMap((identity) => this.#household.nameOf(identity) ?? []));
    const removed: string[] = [];
    for (const identity of andMachines ? record.machines : []) {
      const name = await this.#remove(identity);
      if (name !== null) removed.push(name);
    }
    return { tag: record.tag, removed };
  }

  revokeMadeWith(credential: Credential): void {
    this.#keys.revokeMadeWith(credential);
  }

  passOn(from: Credential, to: Credential): void {
    this.#keys.passOn(from, to);
  }

  revokeAll(): void {
    this.#keys.revokeAll();
  }

  /**
   * Registers a machine by a key. Its name is the key's tag, with a number if that is taken: `ci`, `ci-2`, `ci-3`. A machine that enrols
   * again, for example after its container was restarted, gets its name back.
   */
  async enrol(key: string, request: EnrolRequest): Promise<Enrolled | OperatorError> {
    // Before anything is counted: a stranger must not use up what the person's own machines may do.
    if (!(await this.#keys.has(key))) return refusalOf("unknown");
    const nowMs = Date.now();
    const afterMs = this.#bucket.take(nowMs);
    if (afterMs > 0) return { code: "too_many_requests", of: "token", afterMs };
    return this.#household.inTurn(request.identity, () => this.#enrol(key, request));
  }

  async #enrol(key: string, request: EnrolRequest): Promise<Enrolled | OperatorError> {
    const taken = await this.#keys.take(key, request.identity, Date.now(), {
      isMachine: (identity) => this.#household.nameOf(identity) !== null,
      isValid: (credential) => this.#household.isValid(credential),
    });
    if (typeof taken === "string") return refusalOf(taken);
    const { record, again } = taken;
    const { tag, policy } = record;
    const former = again ? this.#household.nameOf(request.identity) : null;
    try {
      // Before there is something to sweep: this object may be restarted as soon as there is.
      await this.#household.sweepIn(SWEEP_S);
      const registered =
        former === null ? await this.#registerNew(tag, request) : await this.#household.register(former, request, true);
      if ("code" in registered) {
        if (!again) this.#keys.giveBack(request.identity);
        return registered;
      }
      this.#keys.settle(request.identity);
      // Uploading its script takes a second. A key that was revoked meanwhile adds no machine any more, and brings none back that was removed with it.
      if (registered.created && !this.#keys.isKept(record.id)) {
        await this.#remove(request.identity);
        return refusalOf("unknown");
      }
      return { registered, tag, policy };
    } catch (reason) {
      if (!again) this.#keys.giveBack(request.identity);
      throw reason;
    }
  }

  /** A machine ends, and with it its name. Answers `false` if no such machine came by a key. */
  async leave(identity: string): Promise<boolean> {
    return this.#keys.hasEnrolled(identity) && (await this.#remove(identity)) !== null;
  }

  /**
   * A machine was removed, or another computer has its name. It is not its key's any more: with a key for one machine it would otherwise come
   * back, and a computer that its person registers later would be taken for it.
   */
  forget(identity: string): void {
    this.#keys.forget(identity);
  }

  /** Removes the machines that have been silent for too long, and looks again later if there are others. */
  async sweep(): Promise<void> {
    const unsettled = new Set(this.#keys.unsettled());
    for (const identity of this.#keys.all()) {
      if (unsettled.has(identity)) continue;
      const name = this.#household.nameOf(identity);
      const machine = name === null ? null : this.#household.machine(name);
      // It was removed by a person, or by a takeover of its name.
      if (name === null || machine === null) this.#keys.forget(identity);
      else if (machine.online) this.#keys.wasOnline(identity);
      else if (this.#keys.wasSilent(identity) >= MAX_SILENT_SWEEPS) {
        // The list may be wrong if a report was lost. The script knows.
        if (await this.#household.isOnline(name)) this.#keys.wasOnline(identity);
        else await this.#remove(identity);
      }
    }
    if (this.#keys.all().length > 0) await this.#household.sweepIn(SWEEP_S);
  }

  async #registerNew(tag: string, request: EnrolRequest): Promise<Registered | OperatorError> {
    for (let number = 1; ; number += 1) {
      const name = number === 1 ? tag : `${tag}-${number}`;
      if (this.#chosen.has(name) || this.#household.machine(name) !== null) continue;
      this.#chosen.add(name);
      try {
        return await this.#household.register(name, request, false);
      } finally {
        this.#chosen.delete(name);
      }
    }
  }

  /** Answers the name that the machine had; `null` if it was removed already, lost its name to another computer, or cannot be removed now. */
  async #remove(identity: string): Promise<string | null> {
    let name = this.#household.nameOf(identity);
    while (name !== null) {
      const failure = await this.#household.remove(shown({ name, identity }));
      if (failure === null) break;
      if (failure.code !== "machine_unknown" && failure.code !== "machine_replaced") {
        console.warn("an enrolled machine could not be removed", { machine: name, failure });
        return null;
      }
      // It has waited for its turn, in which the machine was renamed, or another computer has got its name.
      name = this.#household.nameOf(identity);
    }
    this.forget(identity);
    return name;
  }

  #shown({ policy, machines, ...record }: KeyRecord): ShownKey {
    const names = machines.flatMap((identity) => this.#household.nameOf(identity) ?? []);
    return { ...record, machines: names.sort(), hasPolicy: policy !== null };
  }
}

function refusalOf(refusal: KeyRefusal): OperatorError {
  switch (refusal) {
    case "unknown":
      return { code: "unauthorized" };
    case "expired":
      return { code: "forbidden", reason: "The enrolment key has expired. Make another one: codez keys create." };
    case "not_its_machine":
      return {
        code: "forbidden",
        reason: "This computer is a machine already, and not by this enrolment key. Connect it as that: codez up.",
      };
    case "used_up":
      return {
        code: "forbidden",
        reason: "The enrolment key was for one machine, and was used. Make one with --reusable for several.",
      };
    case "full":
      return {
        code: "forbidden",
        reason:
          "As many machines as the enrolment key allows exist. End one, or remove those that are left over: codez machines.",
      };
  }
}
