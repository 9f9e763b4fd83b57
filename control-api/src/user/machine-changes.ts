import { CloseCode } from "#protocol/close-code.ts";
import { type OperatorError, OperatorFailure } from "#protocol/error.ts";
import { KEYLESS_TOKEN_LIFE_MS, LINK_TOKEN_LIFE_MS, makeLinkToken } from "#protocol/link-token.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import { isMachineName, slugOf } from "#protocol/slug.ts";
import { type Rate, TokenBucket } from "#protocol/token-bucket.ts";
import type { Outbox } from "../delivery/outbox.ts";
import type { Enrolment } from "../enrolment/enrolment.ts";
import type { Env } from "../env.ts";
import type { History } from "../history/history.ts";
import { type Bearer, OWNER, tagOf } from "../http/caller.ts";
import { changeCredentials, credentialsOf, newestTokenHash, tellCredentials } from "../machines/link-credentials.ts";
import { moveLog } from "../machines/log-move.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { isMeant, type MeantMachine, nameOf } from "../http/shown-machine.ts";
import { machineState } from "../machines/machine-state.ts";
import { deleteScript, type EarlierTemplate, isPassing, uploadFault, uploadScript } from "../machines/provisioning.ts";
import { linkSecretOf } from "../machines/report-key.ts";
import { closeLink, forgetAtScript } from "../machines/script-orders.ts";
import { hashOf } from "../sign-in/access-token.ts";
import type { Closure } from "./closure.ts";
import type { Renamed } from "./follower.ts";
import { type HostedServers, isServerIdentity } from "./hosted-servers.ts";
import type { IssuedLink, Registry } from "./registry.ts";
import type { Uploaded } from "./rollout/rollouts.ts";
import type { Turns } from "./turns.ts";
import { namesOf, type Unfinished, type UnfinishedScripts } from "./unfinished-scripts.ts";
import type { Registered } from "./user-rpc.ts";

/** Why the link of a computer ends whose name another computer took over. Its person reads this. */
const TAKEN_OVER =
  "another computer took this machine's name over; if that was not you, run `codez restore` with the machine's name";

/**
 * How fast somebody who was invited may add machines. Each uploads a script, of which Cloudflare's API takes four a second for everybody, and
 * on an Operator of one's own starts a process of some 60 MB. Nobody adds more than these by hand, and a fleet has the owner's token, or keys.
 */
const NEW_MACHINES: Rate = { perSecond: 0.2, burst: 120 };

/** What of the user a machine's change also concerns. */
export type ChangedParts = {
  readonly registry: Registry;
  readonly servers: HostedServers;
  readonly turns: Turns;
  readonly enrolment: Enrolment;
  readonly history: History;
  readonly outbox: Outbox;
  readonly closure: Closure;
  readonly unfinished: UnfinishedScripts;
  /** Whether a grant, token or browser is still let in. */
  isValid(bearer: Bearer): boolean;
  /** The version that machine scripts must have. */
  version(): string;
  /** Whether machines get this Operator's template outside of a rollout. */
  mayUpgrade(): boolean;
  /** The user's rollouts. A machine leaves them with its name. */
  readonly rollouts: { has(name: string): boolean; forget(name: string): void };
  /** A name stands for another machine now, or for none. `renamed`: machines that have another one. */
  revoked(renamed?: readonly Renamed[]): void;
  /** Has `finish` called after this time. */
  finishIn(seconds: number): Promise<void>;
};

/** The answer to a change whose caller has lost access since it was asked for. */
export const UNAUTHORIZED: OperatorError = { code: "unauthorized" };

/** Attempts to have a script forget, and the pause between them. It was uploaded just before, and may still be starting. Milliseconds. */
const FORGET_TRIES = 4;
const FORGET_AGAIN_MS = 1_000;

/** Pause before what a change has left is tried again. Seconds. */
const FINISH_AGAIN_S = 60;

/**
 * Changes of a user's machines: each uploads or deletes a script, and records it. Those of one machine run one after the other.
 * They return an `OperatorError`, because RPC does not preserve the class of a thrown error.
 *
 * A change waits for its turn and for uploads, and whoever asked for it may lose access meanwhile. So each one looks again where it begins to
 * write (`isAllowed`): a caller who asked for a hundred of them is refused all those that have not begun. `by` is `null` for Operator itself,
 * and for those whose access cannot be revoked.
 */
export class MachineChanges {
  readonly #env: Env;
  readonly #user: () => string;
  readonly #parts: ChangedParts;
  readonly #newMachines = new TokenBucket(NEW_MACHINES, Date.now());

  constructor(env: Env, user: () => string, parts: ChangedParts) {
    this.#env = env;
    this.#user = user;
    this.#parts = parts;
  }

  /** Adds a machine, or registers a known one again. In both cases its script is uploaded if it is missing or outdated. */
  register(request: RegisterRequest, by: Bearer | null): Promise<Registered | OperatorError> {
    return this.#parts.turns.take([request.name], async () => {
      if (this.#parts.closure.isClosed) return UNAUTHORIZED;
      if (!isMachineName(request.name)) return nameInvalid(request.name);
      if (isServerIdentity(request.identity))
        return { code: "invalid_request", reason: "a machine cannot have the identity of a hosted server." };
      await this.finishOf([request.name]);
      if (this.#parts.servers.get(request.name) !== null) return isHosted(request.name);
      // A rebuilt registry may not know the machine's identity. The first computer that registers with the owner's token sets it.
      if (!this.isAllowed(by)) return UNAUTHORIZED;
      this.#parts.registry.identify(request.name, request.identity);
      const known = this.#parts.registry.get(request.name);
      const isSame = known?.identity === request.identity;
      if (known !== null && !isSame && request.replace !== true) return { code: "name_taken", name: request.name };
      // The owner has nobody to protect the computer from.
      const afterMs = known === null && this.#user() !== OWNER ? this.#newMachines.take(Date.now()) : 0;
      if (afterMs > 0) return { code: "too_many_requests", of: "machines", afterMs };
      const needsToken = known === null || !isSame || request.rotate === true;
      const { name, identity, linkKey = null } = request;
      if (needsToken) {
        const issued = await this.#issue(name, identity, known, linkKey);
        return known === null ? this.#add(name, issued, by) : this.#write(name, known, issued);
      }
      if (linkKey !== null)
        await tellCredentials(this.#env, this.#user(), name, { change: "rebind", issuedMs: Date.now(), key: linkKey });
      if (await this.#isInPlace(known)) return { machine: known, created: false, token: null };
      return this.#write(name, known, known);
    });
  }

  /**
   * Creates a new link token. The old one stops working at once, and the link that used it is closed.
   * @param linkKey the key to which the link must be bound; `null` keeps the one that it is bound to.
   */
  rotate(machine: MeantMachine, linkKey: string | null, by: Bearer | null): Promise<Registered | OperatorError> {
    const name = nameOf(machine);
    return this.#parts.turns.take([name], async () => {
      await this.finishOf([name]);
      const refusal = this.refusal(machine, by);
      if (refusal !== null) return refusal;
      const known = this.#parts.registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      return this.#write(name, known, await this.#issue(name, known.identity, known, linkKey));
    });
  }

  /** Gives a machine's name back to the computer, or the key, that had it before. Its token works again; it dials by itself. */
  restore(name: string, by: Bearer | null): Promise<MachineRecord | OperatorError> {
    return this.#parts.turns.take([name], async () => {
      await this.finishOf([name]);
      if (!this.isAllowed(by)) return UNAUTHORIZED;
      const known = this.#parts.registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      const issuedMs = Math.max(Date.now(), known.linkIssuedMs + 1);
      const after = await changeCredentials(this.#env, this.#user(), name, { change: "restore", issuedMs }).catch(
        asError,
      );
      if (after !== null && "code" in after) return after;
      // The object may have been restarted after the script had undone it, and before that was recorded here.
      const isUndone = after !== null && after.identity !== "" && after.identity !== known.identity;
      if (after === null || (after.issuedMs !== issuedMs && !isUndone)) {
        const reason = `nothing to undo: "${name}" did not pass to another computer or key in the last 30 days.`;
        return { code: "invalid_request", reason };
      }
      await closeLink(
        this.#env,
        this.#user(),
        name,
        CloseCode.REVOKED,
        "the machine's name was given back to the computer that had it before",
      );
      const { identity, key, tokens } = after;
      const linkTokenHash = tokens.at(-1)?.hash ?? null;
      const restored = await this.#write(name, known, {
        identity,
        linkTokenHash,
        linkIssuedMs: after.issuedMs,
        linkKey: key,
      });
      return restored.machine;
    });
  }

  /** Removes a machine or hosted server: closes its link, and deletes its script and log. */
  remove(machine: MeantMachine, by: Bearer | null): Promise<OperatorError | null> {
    const name = nameOf(machine);
    return this.#parts.turns.take([name], async () => {
      const slug = this.#slugOf(name);
      if (slug === null) return { code: "machine_unknown", machine: name };
      await this.finishOf([name]);
      if (this.#slugOf(name) !== slug) return null; // that was its removal, which had begun before
      const refusal = this.refusal(machine, by);
      if (refusal !== null) return refusal;
      const script = { slug, name, because: "removed" } as const;
      this.#parts.unfinished.add(script);
      try {
        await this.#finish(script);
      } catch (reason) {
        // The caller is told that it is still there, so it must not vanish later.
        this.#parts.unfinished.delete(slug);
        throw reason;
      }
      return null;
    });
  }

  /** Removes machines soon, whatever happens to this object, unless they are removed before that. */
  async removeSoon(names: readonly string[]): Promise<void> {
    for (const name of names) {
      const slug = this.#parts.registry.get(name)?.slug;
      if (slug !== undefined) this.#parts.unfinished.add({ slug, name, because: "removed" });
    }
    if (names.length > 0) await this.#parts.finishIn(FINISH_AGAIN_S);
  }

  /** Renames a machine: creates a script with the new name, the same token and the same log, and then deletes the old script. */
  rename(machine: MeantMachine, to: string, by: Bearer | null): Promise<MachineRecord | OperatorError> {
    const from = nameOf(machine);
    return this.#parts.turns.take([from, to], async () => {
      await this.finishOf([from, to]);
      const refusal = this.refusal(machine, by);
      if (refusal !== null) return refusal;
      const known = this.#parts.registry.get(from);
      if (known === null) return { code: "machine_unknown", machine: from };
      if (!isMachineName(to)) return nameInvalid(to);
      if (from === to) return known;
      if (this.#parts.registry.get(to) !== null) return { code: "name_taken", name: to };
      if (this.#parts.servers.get(to) !== null) return isHosted(to);
      if (known.linkTokenHash === null) {
        const reason = `The list of machines was rebuilt, and "${from}" needs a new token before it can be renamed: run \`codez rotate ${from}\` on it.`;
        return { code: "invalid_request", reason };
      }
      const slug = slugOf(to, await tagOf(this.#user()));
      // A script of an older template would hand over its log without its numbers, and all of it would be pushed again.
      if (known.template !== this.#parts.version()) await this.#write(from, known, known);
      const copied = await this.creating({ slug, name: to }, () => this.#copy(known, { slug, name: to }, by));
      if (copied !== null) return copied;
      const former = this.#parts.unfinished.get(known.slug);
      if (former !== null) await this.#finish(former).catch((reason: unknown) => this.#finishLater(former, reason));
      return this.#parts.registry.get(to) ?? { code: "machine_unknown", machine: to };
    });
  }

  /** Makes the script of a machine's new name, and records it. From then on the former one is left over. */
  async #copy(
    known: MachineRecord,
    to: { slug: string; name: string },
    by: Bearer | null,
  ): Promise<OperatorError | null> {
    const { name: from } = known;
    const { slug, name } = to;
    await uploadScript(this.#env, { ...issuedOf(known), ...to, owner: this.#user() });
    try {
      await moveLog(this.#env, this.#user(), from, name, known.position);
      const credentials = await credentialsOf(this.#env, this.#user(), from);
      if (credentials !== null) await changeCredentials(this.#env, this.#user(), name, { change: "move", credentials });
    } catch (failure) {
      console.error("a machine was not renamed because its log could not be moved", {
        from,
        to: name,
        failure: String(failure),
      });
      await deleteScript(this.#env, slug);
      this.settled(slug);
      const reason = `it keeps its name, since its event log could not be moved to "${name}": ${String(failure)}`;
      return { code: "machine_failed", machine: from, reason };
    }
    if (!this.isAllowed(by)) return this.withdrawn(name);
    // No `await` from here to the end: the runtime writes all of it or nothing.
    this.settled(slug);
    // The key that it came by may have been revoked with its machines meanwhile. Nobody can repeat that.
    const isRemovedSoon = this.#parts.unfinished.get(known.slug)?.because === "removed";
    this.#parts.unfinished.add({ slug: known.slug, name: from, because: "renamed", newSlug: slug, newName: name });
    if (isRemovedSoon) this.#parts.unfinished.add({ ...to, because: "removed" });
    this.#parts.registry.rename(from, { ...to, template: this.#parts.version() });
    this.#parts.rollouts.forget(from);
    const renamed = { from, to: name, identity: known.identity };
    this.#parts.outbox.rename(renamed);
    this.#parts.history.log.machines.rename(from, to);
    this.#parts.revoked([renamed]);
    return null;
  }

  /**
   * Runs what uploads a new script and records it. `create` crosses the script out when it is recorded, or when there is none. If it ends
   * otherwise, or this object is restarted meanwhile, the script is deleted: nobody would know of it, and the machine that gets its name next
   * would find what is stored in it.
   */
  async creating<Result>(script: { slug: string; name: string }, create: () => Promise<Result>): Promise<Result> {
    const { slug, name } = script;
    this.#parts.unfinished.add({ slug, name, because: "unrecorded" });
    try {
      return await create();
    } finally {
      if (this.#parts.unfinished.get(slug) !== null) await this.#parts.finishIn(FINISH_AGAIN_S);
    }
  }

  /** Whether a change may be written now: its caller has not lost access since it was asked for. */
  isAllowed(by: Bearer | null): boolean {
    return by === null || this.#parts.isValid(by);
  }

  /** Why a change of a machine or server must not be written now: as `isAllowed`, or the name is another's than the one that the caller means. */
  refusal(machine: MeantMachine, by: Bearer | null): OperatorError | null {
    if (!this.isAllowed(by)) return UNAUTHORIZED;
    const name = nameOf(machine);
    const now = this.#parts.registry.get(name) ?? this.#parts.servers.asMachine(name);
    if (now === null) return { code: "machine_unknown", machine: name };
    return isMeant(machine, now) ? null : { code: "machine_replaced", machine: name };
  }

  /** Undoes an upload whose caller has lost access since it began. */
  async withdrawn(name: string): Promise<OperatorError> {
    await this.finishOf([name]);
    return UNAUTHORIZED;
  }

  /** A script whose upload had begun is recorded, or there is none. */
  settled(slug: string): void {
    this.#parts.unfinished.delete(slug);
  }

  /** Finishes what changes have left, because this object was restarted in the middle or the platform refused. */
  async finish(): Promise<void> {
    const scripts = this.#parts.unfinished
      .of()
      .map((script) =>
        this.#parts.turns
          .take(namesOf(script), () => this.finishOf(namesOf(script)))
          .catch((reason: unknown) => this.#finishLater(script, reason)),
      );
    await Promise.all(scripts);
  }

  /**
   * Call this in a turn of these names before one of them may stand for something else, since its new script would be deleted as the one that is
   * left, and before a machine's credentials change: its former script would go on to accept those that it knows.
   */
  async finishOf(names: readonly string[]): Promise<void> {
    for (const script of this.#parts.unfinished.of(names)) await this.#finish(script);
  }

  /** Can be repeated. */
  async #finish(script: Unfinished): Promise<void> {
    const { slug, name } = script;
    switch (script.because) {
      case "unrecorded":
        // Of a server that has a recorded version, nobody knows which one the platform has.
        if (this.#parts.servers.get(name)?.slug === slug) await this.#parts.servers.uploadAgain(name);
        else await deleteScript(this.#env, slug);
        return this.#parts.unfinished.delete(slug);
      case "renamed":
        // The script pushes what came while its log was copied, and the end of its link.
        await closeLink(this.#env, this.#user(), name, CloseCode.RENAMED, script.newName);
        await deleteScript(this.#env, slug);
        return this.#parts.unfinished.delete(slug);
      case "removed":
        if (this.#parts.registry.hasSlug(slug))
          await closeLink(this.#env, this.#user(), name, CloseCode.REVOKED, "the machine was removed");
        await deleteScript(this.#env, slug);
        this.#parts.unfinished.delete(slug);
        return this.#forget(name);
    }
  }

  /** The slug of a machine or hosted server; `null` if there is none of this name. */
  #slugOf(name: string): string | null {
    return this.#parts.registry.get(name)?.slug ?? this.#parts.servers.get(name)?.slug ?? null;
  }

  /** A machine's or server's script is gone, and with it what is known of it. */
  #forget(name: string): void {
    const known = this.#parts.registry.get(name);
    this.#parts.rollouts.forget(name);
    if (known === null) this.#parts.servers.delete(name);
    else {
      const nowMs = Date.now();
      this.#parts.registry.delete(name, nowMs);
      this.#parts.enrolment.forget(known.identity);
      this.#parts.history.remove(name, known.identity, nowMs);
    }
    this.#parts.revoked();
  }

  async #finishLater({ name, because }: Unfinished, reason: unknown): Promise<void> {
    console.error("what a change of a machine has left could not be finished yet", {
      name,
      because,
      reason: String(reason),
    });
    await this.#parts.finishIn(FINISH_AGAIN_S);
  }

  /** Uploads the current template if the machine's script has another version. Answers whether it did. */
  upgrade(name: string, by: Bearer | null): Promise<boolean | OperatorError> {
    return this.#parts.turns.take([name], async () => {
      if (!this.isAllowed(by)) return UNAUTHORIZED;
      const known = this.#parts.registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      if (known.template === this.#parts.version()) return false;
      await this.#write(name, known, known);
      return true;
    });
  }

  /** Uploads a template for a rollout: this Operator's, or the one that the machine had before. */
  rollOut(name: string, earlier: EarlierTemplate | null): Promise<Uploaded> {
    return this.#parts.turns.take([name], async () => {
      if (!this.#parts.rollouts.has(name)) return { refused: "it was removed" };
      const known = this.#parts.registry.get(name);
      try {
        if (known === null)
          return (await this.#parts.servers.rewrap(name, earlier)) ? { done: true } : { refused: "it was removed" };
        await this.#write(name, known, known, earlier);
        return { done: true };
      } catch (reason) {
        if (isPassing(reason)) return { later: String(reason) };
        return { refused: uploadFault(reason) ?? String(reason) };
      }
    });
  }

  /** Uploads the script of a new machine, and records it if `by` still has access then. */
  async #add(
    name: string,
    issued: IssuedLink & { token: string },
    by: Bearer | null,
  ): Promise<Registered | OperatorError> {
    const slug = slugOf(name, await tagOf(this.#user()));
    return this.creating({ slug, name }, async () => {
      await uploadScript(this.#env, { ...issuedOf(issued), slug, name, owner: this.#user() });
      if (!this.isAllowed(by)) return this.withdrawn(name);
      this.#parts.registry.put({ ...issuedOf(issued), name, slug, template: this.#parts.version() });
      this.settled(slug);
      return { machine: this.#written(name), created: true, token: issued.token };
    });
  }

  /**
   * Uploads a known machine's script, and records what its link was issued. A `token` of `issued` is new and returned to the caller, also if the upload
   * fails after the script was told (`isTold`): the script takes no other any more, so without it the machine could not dial again.
   */
  async #write(
    name: string,
    known: MachineRecord,
    issued: IssuedLink & { token?: string; isTold?: boolean },
    earlier: EarlierTemplate | null = null,
  ): Promise<Registered> {
    const slug = slugOf(name, await tagOf(this.#user()));
    // An upload replaces the running script and ends its calls without an answer. Closing the link first lets them fail with an error.
    if (issued.token === undefined)
      await closeLink(this.#env, this.#user(), name, CloseCode.RESTARTING, "the machine's script is being replaced");
    const current =
      issued.token === undefined
        ? { ...issuedOf(issued), ...(await newestTokenHash(this.#env, this.#user(), name)) }
        : issuedOf(issued);
    let template = earlier?.template ?? this.#parts.version();
    try {
      await uploadScript(this.#env, { ...current, slug, name, owner: this.#user() }, earlier);
    } catch (reason) {
      if (issued.isTold !== true || known.identity !== current.identity) throw reason;
      console.warn("a machine has a new token, and its script could not be uploaded", { name, reason: String(reason) });
      template = known.template;
    }
    this.#parts.registry.put({ ...current, name, slug, template });
    if (known.identity !== current.identity) await this.#passOn(name, known.identity, current.identity);
    return { machine: this.#written(name), created: false, token: issued.token ?? null };
  }

  #written(name: string): MachineRecord {
    const machine = this.#parts.registry.get(name);
    if (machine === null) throw new Error("a machine that was just written is gone");
    return machine;
  }

  /** Another computer has a machine's name now. The history of the former one belongs neither to it nor to tokens limited to it. */
  async #passOn(name: string, from: string, to: string): Promise<void> {
    // Its key may have been revoked with its machines meanwhile, which would remove the other one.
    const { slug = "" } = this.#parts.registry.get(name) ?? {};
    if (this.#parts.unfinished.get(slug)?.because === "removed") this.settled(slug);
    this.#parts.history.pass(name, { from, to }, Date.now());
    this.#parts.enrolment.forget(from);
    this.#parts.revoked();
    await this.#forgetFormer(name);
  }

  /** The history is stored here. The script's copy would show the former computer's sessions among those of the new one. */
  async #forgetFormer(name: string): Promise<void> {
    for (let tries = 1; ; tries += 1)
      try {
        return await forgetAtScript(this.#env, this.#user(), name, null);
      } catch (reason) {
        const told = { name, tries, reason: String(reason) };
        console.warn("a script did not forget the computer that had its name before", told);
        if (tries === FORGET_TRIES) return;
        await scheduler.wait(FORGET_AGAIN_MS);
      }
  }

  /**
   * Makes a new link token. A running script is told before its link is closed and before the upload, so that the old token is
   * refused from now on. If it cannot be told, the upload's bindings say when the token was issued, and the later one counts.
   */
  async #issue(
    name: string,
    identity: string,
    known: MachineRecord | null,
    linkKey: string | null,
  ): Promise<IssuedLink & { token: string; isTold: boolean }> {
    const issuedMs = Math.max(Date.now(), (known?.linkIssuedMs ?? 0) + 1);
    const isSame = known !== null && known.identity === identity;
    const key = linkKey ?? (isSame ? known.linkKey : null);
    const expiresMs = issuedMs + (key === null ? KEYLESS_TOKEN_LIFE_MS : LINK_TOKEN_LIFE_MS);
    const token = await makeLinkToken(await linkSecretOf(this.#user(), this.#env.REPORT_SECRET), expiresMs);
    const hash = await hashOf(token);
    const issued = { identity, linkTokenHash: hash, linkIssuedMs: issuedMs, linkKey: key, token };
    if (known === null) return { ...issued, isTold: false };
    const shown = linkKey === null ? {} : { key: linkKey };
    const isTold = await tellCredentials(this.#env, this.#user(), name, {
      change: "issue",
      issuedMs,
      identity,
      token: { hash, expiresMs },
      ...shown,
    });
    const reason = isSame ? "the machine's token was rotated" : TAKEN_OVER;
    await closeLink(this.#env, this.#user(), name, CloseCode.REVOKED, reason);
    return { ...issued, isTold };
  }

  /** Whether a machine's script exists and is current. If so it is not uploaded again, since that would drop its link and its calls. */
  async #isInPlace({ name }: MachineRecord): Promise<boolean> {
    try {
      const { template } = await machineState(this.#env, this.#user(), name);
      // During a rollout, and after one that went back, which template a machine has is not for its setup to decide.
      return template === this.#parts.version() || !this.#parts.mayUpgrade();
    } catch (reason) {
      console.warn("a machine's script does not answer and is uploaded again", {
        machine: name,
        reason: String(reason),
      });
      return false;
    }
  }
}

/** What of a record, or of a new issue, describes the credentials of the link. */
function issuedOf({ identity, linkTokenHash, linkIssuedMs, linkKey }: IssuedLink): IssuedLink {
  return { identity, linkTokenHash, linkIssuedMs, linkKey };
}

/** A failure as a change returns it. Throws what is none of Operator's. */
function asError(reason: unknown): OperatorError {
  if (reason instanceof OperatorFailure) return reason.error;
  throw reason;
}

function isHosted(name: string): OperatorError {
  return { code: "invalid_request", reason: `"${name}" is a hosted server of yours. Choose another name.` };
}

function nameInvalid(name: string): OperatorError {
  const reason = `"${name}" cannot be a machine's name: use 1 to 32 of a-z, 0-9 and single hyphens inside; names such as "api" and "mcp" are the operator's own.`;
  return { code: "invalid_request", reason };
}
