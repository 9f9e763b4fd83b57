import { Agent } from "agents";
import * as z from "zod/mini";
import { boundedSession } from "#protocol/bounded.ts";
import { CloseCode } from "#protocol/close-code.ts";
import type { OperatorError } from "#protocol/error.ts";
import { EventPage, type EventPush, LoggedEvent, type LogPosition } from "#protocol/event.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { LIVE_MS } from "#protocol/limits.ts";
import { KEYLESS_TOKEN_LIFE_MS, LINK_TOKEN_LIFE_MS, makeLinkToken } from "#protocol/link-token.ts";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import type { Rollout, RolloutMode, StartRollout } from "#protocol/rollout.ts";
import {
  type CredentialChange,
  LogNumbers,
  type Presence,
  type ReportedPresence,
  ScriptPath,
} from "#protocol/script-api.ts";
import { isMachineName, namesIn, slugOf } from "#protocol/slug.ts";
import type { AuditEntry, AuditRecord } from "../audit/entry.ts";
import { AuditLog, type AuditQuery } from "../audit/log.ts";
import { eventOf, type Notice, type NoticeRecord } from "../audit/notice.ts";
import type { EventQuery, EventsRead, EventsRefused, StoredEvent } from "../history/event-query.ts";
import { type Forgotten, History } from "../history/history.ts";
import { FIRST_HISTORY } from "../history/limits.ts";
import type { Retention } from "../history/retention.ts";
import type { IndexedSessions, ListedSession, SessionListQuery } from "../history/session-query.ts";
import { Waiters } from "../history/waiters.ts";
import { Decisions } from "../inbox/decisions.ts";
import type { Decider, DecisionResult, InboxItem, InboxPage, InboxQuery, Verdict } from "../inbox/inbox-item.ts";
import { DELIVER_AGAIN_S } from "../inbox/limits.ts";
import type { ClientAnswer } from "../elicitation/form.ts";
import { Forms } from "../elicitation/forms.ts";
import { attempt } from "../delivery/attempt.ts";
import { Deliveries } from "../delivery/deliveries.ts";
import type { DeliveryRecord, DeliveryRequest } from "../delivery/delivery.ts";
import { deliveryView } from "../delivery/delivery-view.ts";
import { Outbox } from "../delivery/outbox.ts";
import { type Credential, tagOf, type TokenAnswer } from "../http/caller.ts";
import type { Env } from "../env.ts";
import type { MachineRecord, PageApproval } from "../machines/machine-record.ts";
import type { ServerBundle } from "../machines/hosted-form.ts";
import { askMachine, postToMachine } from "../machines/script-client.ts";
import { changeCredentials, credentialsOf } from "../machines/link-credentials.ts";
import { linkSecretOf } from "../machines/report-key.ts";
import { machineState } from "../machines/machine-state.ts";
import { machineInNamespace, machinesInNamespace } from "../machines/namespace-scripts.ts";
import type { ReportAnswer } from "../machines/report-answer.ts";
import {
  deleteScript,
  type EarlierTemplate,
  isPassing,
  scriptCode,
  scriptVersion,
  uploadFault,
  uploadScript,
  wrapper,
} from "../machines/provisioning.ts";
import type { Redemption, RedemptionAnswer } from "../sign-in/oauth/redemption.ts";
import { Redemptions } from "../sign-in/oauth/redemptions.ts";
import { SpentTokens } from "../sign-in/oauth/spent-tokens.ts";
import { oauthApi } from "../sign-in/oauth/authorization-server.ts";
import { hashOf } from "../sign-in/access-token.ts";
import { Enrolment, type Enrolled, type EnrolRequest, type ShownKey } from "../enrolment/enrolment.ts";
import type { KeyLimits } from "../enrolment/enrolment-keys.ts";
import { Closure } from "./closure.ts";
import { HostedServers } from "./hosted-servers.ts";
import { Follower } from "./follower.ts";
import { Notices } from "./notices.ts";
import { checkMachine, checkServer } from "./rollout/check-machine.ts";
import { Rollouts, type Uploaded } from "./rollout/rollouts.ts";
import { RolloutStore } from "./rollout/rollout-store.ts";
import { type IssuedLink, Registry } from "./registry.ts";
import type { ServerRecord } from "./server-store.ts";
import { Upgrades } from "./upgrades.ts";
import { Turns } from "./turns.ts";
import type { Registered, UserRpc } from "./user-rpc.ts";
import { type MadeToken, type TokenLimits, type TokenMaker, type TokenRecord, Tokens } from "./tokens.ts";

/** Time limit for closing a link. A script answers at once; if it does not, it has no working link. Milliseconds. */
const CLOSE_TIMEOUT_MS = 5_000;

/** Time limit for copying a log. The largest is about 20 MB, which takes seconds to read and write. Milliseconds. */
const MOVE_TIMEOUT_MS = 60_000;

/** Seconds until a script that did not answer is checked again. The time doubles with each check. */
const DOUBT_AGAIN_S = 15;

/** Number of such checks, which take more than an hour together. A script that works again has sent a report of its own by then. */
const DOUBT_TIMES = 8;

const LogPage = z.array(LoggedEvent);

/** Scripts that a rebuilt registry asks at the same time. A thousand machines take some seconds, and nobody waits for them. */
const RECHECKED_AT_ONCE = 16;

type Doubt = { name: string; asked: number };

/** Storage key of the platform start that this object last saw. */
const START_KEY = "platform-start";

/** Storage key: when the enrolled machines are looked through next. */
const SWEEP_KEY = "sweep-enrolled";

/** Storage key: when the log is trimmed by age next. And the shortest time until then. */
const TRIM_KEY = "trim-history";
const DAY_MS = 24 * 60 * 60_000;
const TRIM_PAUSE_MS = DAY_MS;

/** Storage key that is set until the registry was compared with the namespace: this object's database is new, or was lost. */
const REBUILD_KEY = "registry-to-rebuild";

/** Why the link of a computer ends whose name another computer took over. Its person reads this. */
const TAKEN_OVER =
  "another computer took this machine's name over; if that was not you, run `codez restore` with the machine's name";

/** Time limit for one page of events of a script that does not push them, and for telling a script that somebody watches. */
const PAGE_TIMEOUT_MS = 5_000;

/** Pages read at a time from a script that does not push: all that its log can hold. */
const MAX_PAGES = 50;

/** Notices that are put into the log together with a new one, if they are not in it yet. */
const NOTICES_TO_LOG = 20;

/** The Durable Object of one user: the registry of their machines, what happened on them, their tokens, grants and audit log. */
export class User extends Agent<Env> implements UserRpc {
  readonly #registry = new Registry(this.ctx.storage.sql);
  readonly #tokens = new Tokens(this.ctx.storage.sql, () => this.#id, {
    identityOf: (name) => this.#identityOf(name),
    nameOf: (identity) => this.#registry.nameOf(identity) ?? this.#servers.nameOf(identity),
  });
  readonly #servers = new HostedServers(this.env, this.ctx.storage, () => this.#id);
  readonly #closure = new Closure(this.ctx.storage.sql);
  readonly #audit = new AuditLog(this.ctx.storage.sql);
  readonly #notices = new Notices(this.ctx.storage.sql);
  readonly #redemptions = new Redemptions(this.env, new SpentTokens(this.ctx.storage.sql), (grant) =>
    this.endGrant(grant),
  );
  readonly #history = new History(
    this.ctx.storage.sql,
    (name) => this.#registry.get(name) !== null,
    () => this.#follower.tell(false),
    (machine, turn) => this.#outbox.taken(machine, turn, Date.now()),
  );
  readonly #outbox = new Outbox(this.ctx.storage.sql);
  readonly #deliveries = new Deliveries(this.#outbox, {
    attempt: (due) => attempt(this.env, this.#id, due),
    isSame: ({ machine, identity }) => this.machine(machine)?.identity === identity,
    // A scope that is no credential is that of a caller whom no token limits.
    isAllowed: ({ scope }) => !this.#closure.isClosed && this.#tokens.isValid(scope as Credential, Date.now()),
    isRepeatable: (machine) => this.#registry.get(machine)?.facts?.capabilities.includes(KEYS_CAPABILITY) === true,
    tell: (record) => this.#tellDelivery(record),
    now: () => Date.now(),
  });
  readonly #decisions = new Decisions(
    this.env,
    this.#history.inbox,
    () => this.#id,
    () => this.#deliverAgain(),
    (machine, via) => {
      const known = this.#registry.get(machine);
      return (via === "client" ? known?.remoteApproval : known?.elicitation) === true;
    },
    (machine) => this.#registry.get(machine)?.pageApproval ?? "session",
  );
  readonly #forms = new Forms();
  /** Wakes the streams and long-polls that wait for a revocation (sign-in/lease.ts). */
  readonly #revocations = new Waiters<void>();
  readonly #follower = new Follower(this.ctx, this.env, () => this.#id);
  /** Machines that come and go with an enrolment key, without a person. */
  readonly #enrolment = new Enrolment(this.ctx.storage.sql, {
    machine: (name) => this.machine(name),
    nameOf: (identity) => this.#registry.nameOf(identity),
    isValid: (credential) => this.#tokens.isValid(credential, Date.now()),
    isOnline: (name) => this.#isOnline(name),
    register: (name, { identity, linkKey }, rotate) =>
      this.register({ name, identity, ...(linkKey === undefined ? {} : { linkKey }), ...(rotate ? { rotate } : {}) }),
    remove: (name) => this.remove(name),
    sweepIn: (seconds) => this.#sweepIn(seconds),
  });
  readonly #upgrades = new Upgrades({
    now: () => Date.now(),
    isAllowed: () => this.#rollouts.allowsUpgradeAtDial,
    upgrade: async (name) => {
      await this.upgrade(name).catch((reason: unknown) =>
        console.error("a machine's script could not be upgraded", { name, reason: String(reason) }),
      );
    },
    isBusy: async (name) => {
      const state = await machineState(this.env, this.#id, name).catch(() => null); // one that does not answer has no calls
      return state !== null && state.exchanges > 0;
    },
    wakeIn: (seconds) => this.ctx.waitUntil(this.schedule(seconds, "stepUpgrades")),
  });
  readonly #rolloutStore = new RolloutStore(this.ctx.storage);
  readonly #rollouts = new Rollouts(this.#rolloutStore, {
    now: () => Date.now(),
    machines: () => [...this.#registry.list(), ...this.#servers.candidates(this.#version)],
    template: () => this.#version,
    health: (name) =>
      this.#servers.get(name) === null
        ? checkMachine(this.env, this.#id, name)
        : checkServer(this.env, this.#id, name, { wrapper: wrapper().version, template: this.#version }),
    codeOf: async (name) =>
      this.#servers.get(name) === null
        ? scriptCode(this.env, slugOf(name, await tagOf(this.#id)))
        : this.#servers.codeOf(name),
    upload: (name, earlier) => this.#rollOut(name, earlier),
    wake: async (ms, run) => void (await this.schedule(Math.max(1, Math.ceil(ms / 1000)), "stepRollout", { run })),
    newRun: () => crypto.randomUUID(),
  });
  /** Changes of one machine, one after the other. */
  readonly #turns = new Turns();
  /** Machines whose scripts are being asked for their events, because they do not push them. */
  readonly #pulling = new Set<string>();
  /** Whether `deliverDecisions` is scheduled. Forgotten at a restart, after which one too many is harmless. */
  #isDeliveryScheduled = false;
  /** Whether this instance has seen to it that the log is trimmed by age. */
  #trims = false;
  /** Slugs of scripts that are about to be deleted because their machine was renamed, and its new slug. */
  readonly #formerSlugs = new Map<string, string>();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (this.#registry.isNew) ctx.storage.kv.put(REBUILD_KEY, true);
    if (ctx.storage.kv.get(REBUILD_KEY) === true) void ctx.blockConcurrencyWhile(() => this.#rebuild());
    ctx.waitUntil(
      this.#rollouts
        .revive()
        .catch((reason: unknown) => console.error("a rollout could not go on", { reason: String(reason) })),
    );
    // On one computer all scripts restart together with this object, so no link from an earlier start still exists.
    const { PLATFORM_START: start } = env;
    if (start === undefined || ctx.storage.kv.get(START_KEY) === start) return;
    this.#registry.doubtAll();
    ctx.storage.kv.put(START_KEY, start);
  }

  get #id(): string {
    return this.name;
  }

  /** The version that machine scripts must have. */
  get #version(): string {
    return scriptVersion(this.env);
  }

  machines(): MachineRecord[] {
    const hosted = this.#servers.asMachines();
    if (hosted.length === 0) return this.#registry.list();
    return [...this.#registry.list(), ...hosted].sort((one, other) => (one.name < other.name ? -1 : 1));
  }

  machine(name: string): MachineRecord | null {
    return this.#registry.get(name) ?? this.#servers.asMachine(name);
  }

  namesOf(identities: readonly string[]): string[] {
    return identities.flatMap((identity) => this.#registry.nameOf(identity) ?? this.#servers.nameOf(identity) ?? []);
  }

  servers(): ServerRecord[] {
    return this.#servers.list();
  }

  server(name: string): ServerRecord | null {
    return this.#servers.get(name);
  }

  /** Uploads a new version of a hosted server, or a new server. A machine's name cannot be taken: both have the same address. */
  deployServer(name: string, bundle: ServerBundle): Promise<ServerRecord | OperatorError> {
    return this.#turns.take([name], async () => {
      this.#closure.check();
      if (this.#registry.get(name) === null) return this.#servers.deploy(name, bundle);
      return {
        code: "invalid_request",
        reason: `"${name}" is one of your machines. Choose another name for the server.`,
      };
    });
  }

  rollBackServer(name: string, version: number | null): Promise<ServerRecord | OperatorError> {
    return this.#turns.take([name], () => this.#servers.rollback(name, version));
  }

  serverSecrets(name: string): Promise<string[] | OperatorError> {
    return this.#servers.secrets(name);
  }

  setServerSecret(name: string, secret: string, text: string | null): Promise<OperatorError | null> {
    return this.#turns.take([name], () => this.#servers.setSecret(name, secret, text));
  }

  // Methods that change the registry return an `OperatorError`, because RPC does not preserve the class of a thrown error.

  /** Adds a machine, or registers a known one again. In both cases its script is uploaded if it is missing or outdated. */
  register(request: RegisterRequest): Promise<Registered | OperatorError> {
    return this.#turns.take([request.name], async () => {
      this.#closure.check();
      if (!isMachineName(request.name)) return nameInvalid(request.name);
      if (this.#servers.get(request.name) !== null) return isHosted(request.name);
      // A rebuilt registry may not know the machine's identity. The first computer that registers with the owner's token sets it.
      this.#registry.identify(request.name, request.identity);
      const known = this.#registry.get(request.name);
      const isSame = known?.identity === request.identity;
      if (known !== null && !isSame && request.replace !== true) return { code: "name_taken", name: request.name };
      const needsToken = known === null || !isSame || request.rotate === true;
      const { name, identity, linkKey = null } = request;
      if (needsToken) return this.#write(name, known, await this.#issue(name, identity, known, linkKey));
      if (linkKey !== null) await this.#tell(name, { change: "rebind", issuedMs: Date.now(), key: linkKey });
      if (await this.#isInPlace(known)) return { machine: known, created: false, token: null };
      return this.#write(name, known, known);
    });
  }

  /**
   * Creates a new link token. The old one stops working at once, and the link that used it is closed.
   * @param linkKey the key to which the link must be bound; `null` keeps the one that it is bound to.
   */
  rotate(name: string, linkKey: string | null): Promise<Registered | OperatorError> {
    return this.#turns.take([name], async () => {
      const known = this.#registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      return this.#write(name, known, await this.#issue(name, known.identity, known, linkKey));
    });
  }

  /** Gives a machine's name back to the computer, or the key, that had it before. Its token works again; it dials by itself. */
  restore(name: string): Promise<MachineRecord | OperatorError> {
    return this.#turns.take([name], async () => {
      const known = this.#registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      const issuedMs = Math.max(Date.now(), known.linkIssuedMs + 1);
      const after = await changeCredentials(this.env, this.#id, name, { change: "restore", issuedMs });
      if (after === null || after.issuedMs !== issuedMs) {
        const reason = `nothing to undo: "${name}" did not pass to another computer or key in the last 30 days.`;
        return { code: "invalid_request", reason };
      }
      await this.#closeLink(
        name,
        CloseCode.REVOKED,
        "the machine's name was given back to the computer that had it before",
      );
      const { identity, key, tokens } = after;
      const linkTokenHash = tokens.at(-1)?.hash ?? null;
      const restored = await this.#write(name, known, {
        identity,
        linkTokenHash,
        linkIssuedMs: issuedMs,
        linkKey: key,
      });
      return restored.machine;
    });
  }

  setRemoteApproval(name: string, isAllowed: boolean): boolean {
    return this.#registry.setRemoteApproval(name, isAllowed);
  }

  setPageApproval(name: string, approval: PageApproval): boolean {
    return this.#registry.setPageApproval(name, approval);
  }

  setElicitation(name: string, isAllowed: boolean): boolean {
    return this.#registry.setElicitation(name, isAllowed);
  }

  answerToForm(key: string, timeoutMs: number): Promise<ClientAnswer | null> {
    return this.#forms.answerTo(key, timeoutMs);
  }

  answerForm(key: string, answer: ClientAnswer | null): boolean {
    return this.#forms.answer(key, answer);
  }

  /** Removes a machine: closes its link, and deletes its script and log. */
  remove(name: string): Promise<OperatorError | null> {
    return this.#turns.take([name], async () => {
      if (this.#servers.get(name) !== null) {
        const failure = await this.#servers.remove(name);
        if (failure === null) this.revoked();
        return failure;
      }
      const known = this.#registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      await this.#closeLink(name, CloseCode.REVOKED, "the machine was removed");
      await deleteScript(this.env, known.slug);
      this.#registry.delete(name);
      this.#enrolment.forget(known.identity);
      this.#history.remove(name, Date.now());
      this.revoked();
      return null;
    });
  }

  /** Renames a machine: creates a script with the new name, the same token and the same log, and then deletes the old script. */
  rename(from: string, to: string): Promise<MachineRecord | OperatorError> {
    return this.#turns.take([from, to], async () => {
      const known = this.#registry.get(from);
      if (known === null) return { code: "machine_unknown", machine: from };
      if (!isMachineName(to)) return nameInvalid(to);
      if (from === to) return known;
      if (this.#registry.get(to) !== null) return { code: "name_taken", name: to };
      if (this.#servers.get(to) !== null) return isHosted(to);
      if (known.linkTokenHash === null) {
        const reason = `the list of machines was rebuilt, and "${from}" needs a new token before it can be renamed: run \`codez rotate ${from}\` on it.`;
        return { code: "invalid_request", reason };
      }
      const slug = slugOf(to, await tagOf(this.#id));
      // A script of an older template would hand over its log without its numbers, and all of it would be pushed again.
      if (known.template !== this.#version) await this.#write(from, known, known);
      await uploadScript(this.env, { ...issuedOf(known), slug, name: to, owner: this.#id });
      try {
        await this.#moveLog(from, to, known.position);
        const credentials = await credentialsOf(this.env, this.#id, from);
        if (credentials !== null) await changeCredentials(this.env, this.#id, to, { change: "move", credentials });
      } catch (failure) {
        console.error("a machine was not renamed because its log could not be moved", {
          from,
          to,
          failure: String(failure),
        });
        await deleteScript(this.env, slug);
        const reason = `it keeps its name, since its event log could not be moved to "${to}": ${String(failure)}`;
        return { code: "machine_failed", machine: from, reason };
      }
      this.#registry.rename(from, { name: to, slug, template: this.#version });
      this.#outbox.rename(from, to);
      this.#history.log.machines.rename(from, { name: to, slug });
      this.revoked();
      // The old script pushes what came while its log was copied, and the end of its link.
      this.#formerSlugs.set(known.slug, slug);
      try {
        await this.#closeLink(from, CloseCode.RENAMED, to);
        await deleteScript(this.env, known.slug);
      } finally {
        this.#formerSlugs.delete(known.slug);
      }
      return this.#registry.get(to) ?? { code: "machine_unknown", machine: to };
    });
  }

  /** Uploads the current template if the machine's script has another version. Answers whether it did. */
  upgrade(name: string): Promise<boolean | OperatorError> {
    return this.#turns.take([name], async () => {
      const known = this.#registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      if (known.template === this.#version) return false;
      await this.#write(name, known, known);
      return true;
    });
  }

  rollout(): { rollout: Rollout | null; mode: RolloutMode } {
    return { rollout: this.#rollouts.current, mode: this.#rolloutStore.mode };
  }

  setRolloutMode(mode: RolloutMode): void {
    this.#rolloutStore.mode = mode;
  }

  async startRollout(asked: StartRollout): Promise<Rollout | OperatorError> {
    this.#closure.check();
    return this.#rollouts.start(asked);
  }

  changeRollout(change: "pause" | "resume" | "back"): Promise<Rollout | OperatorError> {
    switch (change) {
      case "pause":
        return this.#rollouts.pause();
      case "resume":
        return this.#rollouts.resume();
      case "back":
        return this.#rollouts.back();
    }
  }

  /** Called by the Agent's schedule. */
  stepRollout({ run }: { run: string }): Promise<void> {
    return this.#rollouts.step(run);
  }

  /** Uploads a template for a rollout: this Operator's, or the one that the machine had before. */
  #rollOut(name: string, earlier: EarlierTemplate | null): Promise<Uploaded> {
    return this.#turns.take([name], async () => {
      const known = this.#registry.get(name);
      try {
        if (known === null)
          return (await this.#servers.rewrap(name, earlier)) ? { done: true } : { refused: "it was removed" };
        await this.#write(name, known, known, earlier);
        return { done: true };
      } catch (reason) {
        if (isPassing(reason)) return { later: String(reason) };
        return { refused: uploadFault(reason) ?? String(reason) };
      }
    });
  }

  /** Records a report of a machine's script, and stores the events that it pushes. */
  record(slug: string, presence: ReportedPresence, push: EventPush | null): ReportAnswer {
    const former = this.#formerSlugs.get(slug);
    if (former !== undefined) return { wantsFacts: false, stored: this.#take(former, presence, push), liveMs: 0 };
    if (this.#isOfAnother(slug, presence)) return { wantsFacts: false, stored: null, liveMs: 0 };
    const recorded = this.#registry.record(slug, presence, Date.now());
    if (recorded === null && !this.#registry.hasSlug(slug)) this.#adoptSoon(slug, presence, push);
    const stored = this.#take(slug, presence, push);
    if (recorded !== null && presence.online) {
      this.ctx.waitUntil(this.#decisions.deliverAll(recorded.name));
      this.ctx.waitUntil(this.#deliveries.deliver(recorded.name, recorded.hasJustDialled));
    }
    const isOutdated = recorded?.hasJustDialled === true && presence.template !== this.#version;
    if (isOutdated && this.#rollouts.allowsUpgradeAtDial) this.#upgradeSoon(recorded.name);
    return { wantsFacts: recorded?.wantsFacts ?? false, stored, liveMs: this.#history.liveMs };
  }

  /**
   * Whether a report is late: its machine was renamed since, and another machine has got its former name. Both have the same slug and
   * report key, one after the other. A report of a computer that has no machine here any more is not meant: on Cloudflare a script
   * may go on with the bindings of the computer that had its name before.
   */
  #isOfAnother(slug: string, { identity = "" }: ReportedPresence): boolean {
    const name = identity === "" ? null : this.#registry.nameOf(identity);
    return name !== null && name !== (this.#registry.ofSlug(slug)?.name ?? name);
  }

  /** Requests that wait for a person, or were settled; `null` if the reader knows no such machine. */
  inbox(query: InboxQuery): InboxPage | null {
    return this.#history.pending(query, Date.now());
  }

  /** One request, if the reader may see its machine. */
  inboxItem(visible: readonly string[] | null, id: number): InboxItem | null {
    const item = this.#history.inbox.get(id);
    if (item === null || visible === null) return item;
    // A removed machine's name may be another computer's now.
    return visible.includes(item.machine) && !item.machineGone ? item : null;
  }

  askedItem(machine: string, request: string): InboxItem | null {
    return this.#history.inbox.find(machine, request);
  }

  inboxCount(): number {
    return this.#history.inbox.count(Date.now());
  }

  /** Decides a request. The caller has checked that `by` may decide for this machine. */
  decide(id: number, verdict: Verdict, by: Decider): Promise<DecisionResult | OperatorError> {
    return this.#decisions.decide(id, verdict, by);
  }

  /** Called by the Agent's schedule: delivers decisions that could not be delivered. Those of machines that are away wait for them. */
  async deliverDecisions(): Promise<void> {
    this.#isDeliveryScheduled = false;
    const online = this.#history.inbox
      .undelivered(null)
      .filter(({ machine }) => this.#registry.get(machine)?.online === true);
    for (const machine of new Set(online.map((item) => item.machine))) await this.#decisions.deliverAll(machine);
    for (const { machine } of this.#outbox.waiting())
      if (this.#registry.get(machine)?.online === true) await this.#deliveries.deliver(machine, false);
      else for (const record of this.#outbox.expire(Date.now())) this.#tellDelivery(record);
    if (this.#outbox.waiting().length > 0) await this.#deliverAgain();
  }

  /** Takes in a call with a key, and delivers it. */
  async send(request: Omit<DeliveryRequest, "identity">): Promise<DeliveryRecord | OperatorError> {
    const machine = this.machine(request.machine);
    if (machine === null) return { code: "machine_unknown", machine: request.machine };
    const sent = await this.#deliveries.send({ ...request, identity: machine.identity });
    if (sent === "key_reused") return { code: "key_reused", key: request.key };
    if (sent === "full") {
      const reason = `too many calls wait for machine "${request.machine}" already. Cancel some, or wait until it is back.`;
      return { code: "invalid_request", reason };
    }
    if (sent.isQueued && sent.endedMs === null) await this.#deliverAgain();
    return sent;
  }

  delivery(scope: string, key: string): DeliveryRecord | null {
    return this.#outbox.find(scope, key);
  }

  listDeliveries(scope: string, limit: number): DeliveryRecord[] {
    return this.#outbox.list(scope, limit);
  }

  /** Cancels a call that is not delivered yet. Answers what is known of it then, or `null` if there is none. */
  cancelDelivery(scope: string, key: string): { record: DeliveryRecord; isCancelled: boolean } | null {
    const known = this.#outbox.find(scope, key);
    if (known === null) return null;
    const isCancelled = this.#outbox.cancel(known.id, Date.now());
    const record = this.#outbox.get(known.id) ?? known;
    if (isCancelled) this.#tellDelivery(record);
    return { record, isCancelled };
  }

  /** Tells, as an event, that a call which waited was delivered, or will not be. */
  #tellDelivery(record: DeliveryRecord): void {
    const { machine, state, answer } = record;
    const name = state === "consumed" ? "delivered" : state;
    const told = parseJson(answer ?? "null");
    const structured = isRecord(told) && isRecord(told["structuredContent"]) ? told["structuredContent"] : {};
    const { session_id: session = null, turn_id: turn = null } = structured;
    const about = { ...deliveryView(record), turn_id: turn };
    this.#history.tell(machine, `delivery.${name}`, typeof session === "string" ? session : null, about);
  }

  async #deliverAgain(): Promise<void> {
    if (this.#isDeliveryScheduled) return;
    this.#isDeliveryScheduled = true;
    await this.schedule(DELIVER_AGAIN_S, "deliverDecisions", {});
  }

  listSessions(query: SessionListQuery): IndexedSessions {
    return this.#history.list(query, (name) => this.#registry.get(name)?.online ?? false);
  }

  session(visible: readonly string[] | null, machine: string, session: string): ListedSession | null {
    const everything = { project: null, state: null, words: [], before: null, limit: 1 };
    return this.listSessions({ ...everything, visible, machine, session }).sessions[0] ?? null;
  }

  sessionTail(
    machine: string,
    session: string,
    types: readonly string[],
    before: number | null,
    limit: number,
  ): StoredEvent[] {
    const known = this.#history.log.machines.named(machine);
    return known === null ? [] : this.#history.log.tail(known.id, session, types, before, limit);
  }

  learnSessions(machine: string, sessions: readonly Record<string, unknown>[]): void {
    const known = this.#registry.get(machine);
    if (known === null) return;
    const { id } = this.#history.log.machines.of(known.slug, machine);
    this.#history.sessions.learn(id, sessions, Date.now());
  }

  /** Deletes what was seen of a machine or a session: here, and in the machine script's own log. */
  async forget(machine: string, session: string | null, former: boolean): Promise<Forgotten | null> {
    const forgotten = this.#history.forget(machine, session, former);
    if (!former && this.#registry.get(machine) !== null) await this.#forgetAt(machine, session);
    return forgotten;
  }

  retention(): Retention {
    return this.#history.log.retention;
  }

  async retain(chosen: Retention): Promise<void> {
    this.#history.log.retain(chosen, Date.now());
    await this.trimHistory();
  }

  /** Called by the Agent's schedule, too: deletes events that are too old, though no machine pushes any more. */
  async trimHistory(): Promise<void> {
    const nextMs = this.#history.log.trimAge(Date.now());
    if (nextMs !== null) await this.#trimAt(nextMs);
  }

  /** Schedules the next trimming, unless one comes earlier anyway. At most one a day. */
  async #trimAt(dueMs: number): Promise<void> {
    const nowMs = Date.now();
    const atMs = Math.max(dueMs, nowMs + TRIM_PAUSE_MS);
    const knownMs = this.ctx.storage.kv.get<number>(TRIM_KEY) ?? 0;
    if (knownMs > nowMs && knownMs <= atMs) return;
    this.ctx.storage.kv.put(TRIM_KEY, atMs);
    await this.schedule(Math.ceil((atMs - nowMs) / 1000), "trimHistory");
  }

  newestEvent(): LogPosition {
    return this.#history.log.position;
  }

  /** Reads events of all the user's machines. Waits for them if there are none yet. */
  pollEvents(query: EventQuery): Promise<EventsRead | EventsRefused> {
    if (query.detail === "deltas")
      for (const name of this.#history.watch(query)) this.ctx.waitUntil(this.#tellWatched(name));
    return this.#history.poll(query);
  }

  /**
   * A script's report was refused, because its key does not match. If the report secret was replaced, no script has a right key any
   * more, and nobody would notice that a machine dials. So the script of a machine that still has another version is uploaded
   * again. The report itself is not believed, and repeating it changes nothing: a script of the right version stays as it is.
   */
  refused(slug: string): void {
    const known = this.#registry.get(namesIn(slug).name);
    if (known?.slug === slug && known.template !== this.#version) this.#upgradeSoon(known.name);
  }

  /** Records the state that a script answered. Unlike `record` it does not upgrade the script, since calls may be running. */
  correct(slug: string, state: Presence): void {
    this.#registry.record(slug, state, Date.now());
  }

  /**
   * Marks a machine as offline because its script did not answer. If the script only hung for a while, it does not know that it was
   * marked and sends no report, so this object checks it again until it answers.
   */
  async doubt(name: string): Promise<void> {
    if (!this.#registry.doubt(name)) return;
    await this.schedule(DOUBT_AGAIN_S, "recheck", { name, asked: 1 } satisfies Doubt);
  }

  /** Called by the Agent's schedule: checks a script that did not answer. */
  async recheck({ name, asked }: Doubt): Promise<void> {
    const known = this.#registry.get(name);
    if (known === null || known.online) return;
    try {
      this.correct(known.slug, await machineState(this.env, this.#id, name));
    } catch (reason) {
      console.warn("a machine's script still does not answer", { machine: name, reason: String(reason) });
      if (asked < DOUBT_TIMES)
        await this.schedule(DOUBT_AGAIN_S * 2 ** asked, "recheck", { name, asked: asked + 1 } satisfies Doubt);
    }
  }

  /** Asks several scripts for their machines' presence, a few at a time. One that does not answer is asked again later. */
  async #recheckAll(names: readonly string[]): Promise<void> {
    const left = names.values();
    const worker = async (): Promise<void> => {
      for (const name of left) await this.recheck({ name, asked: 1 });
    };
    await Promise.all(Array.from({ length: Math.min(RECHECKED_AT_ONCE, names.length) }, worker));
  }

  follow(isFollowed: boolean): void {
    this.#follower.follow(isFollowed);
  }

  async createToken(label: string, limits: TokenLimits, maker: TokenMaker): Promise<MadeToken | OperatorError> {
    this.#closure.check();
    const unknown = limits.machines?.find((name) => this.machine(name) === null);
    if (unknown !== undefined) return { code: "machine_unknown", machine: unknown };
    const unidentified = limits.machines?.find((name) => this.#identityOf(name) === null);
    if (unidentified !== undefined) {
      const reason = `the list of machines was rebuilt, and which computer "${unidentified}" is will be known again after \`codez setup\` was run on it.`;
      return { code: "invalid_request", reason };
    }
    // A token that ends must not be able to make one that does not, which would give it permanent access.
    const latestMs = this.#tokens.expiryOf(maker);
    const expiresMs = limits.expiresMs ?? latestMs;
    if (latestMs !== null && expiresMs !== null && expiresMs > latestMs) {
      const reason = `the token that makes it expires at ${new Date(latestMs).toISOString()}, and none that it makes may last longer.`;
      return { code: "invalid_request", reason };
    }
    return this.#tokens.create(label, { ...limits, expiresMs }, maker);
  }

  /** What a token's limit to a machine or hosted server is stored as; `null` if it is not known. A rebuilt registry has empty ones. */
  #identityOf(name: string): string | null {
    const identity = this.#registry.get(name)?.identity ?? this.#servers.identityOf(name);
    return identity === "" ? null : identity;
  }

  createEnrolmentKey(
    limits: KeyLimits,
    credential: Credential | null,
  ): Promise<{ key: string; record: ShownKey } | OperatorError> {
    this.#closure.check();
    return this.#enrolment.createKey(this.#id, limits, credential);
  }

  enrolmentKeys(): ShownKey[] {
    return this.#enrolment.keys();
  }

  revokeEnrolmentKey(id: string, andMachines: boolean): Promise<{ tag: string; removed: string[] } | null> {
    return this.#enrolment.revokeKey(id, andMachines);
  }

  async enrol(key: string, request: EnrolRequest): Promise<Enrolled | OperatorError> {
    if (this.#closure.isClosed) return { code: "unauthorized" };
    return this.#enrolment.enrol(key, request);
  }

  leave(identity: string): Promise<boolean> {
    return this.#enrolment.leave(identity);
  }

  /** Called by the Agent's schedule: removes enrolled machines that have fallen silent. */
  async sweepEnrolled(): Promise<void> {
    this.ctx.storage.kv.delete(SWEEP_KEY);
    await this.#enrolment.sweep();
  }

  /** One sweep is scheduled at a time. */
  async #sweepIn(seconds: number): Promise<void> {
    const dueMs = this.ctx.storage.kv.get<number>(SWEEP_KEY);
    const nowMs = Date.now();
    if (dueMs !== undefined && dueMs > nowMs && dueMs <= nowMs + seconds * 1000) return;
    this.ctx.storage.kv.put(SWEEP_KEY, nowMs + seconds * 1000);
    await this.schedule(seconds, "sweepEnrolled");
  }

  async #isOnline(name: string): Promise<boolean> {
    try {
      const state = await machineState(this.env, this.#id, name);
      const known = this.#registry.get(name);
      if (known !== null) this.correct(known.slug, state);
      return state.online;
    } catch (reason) {
      console.warn("the script of a silent machine does not answer", { machine: name, reason: String(reason) });
      return false;
    }
  }

  tokens(): TokenRecord[] {
    return this.#tokens.list();
  }

  revokeToken(id: string): string | null {
    const label = this.#tokens.revoke(id);
    if (label !== null) {
      this.#enrolment.revokeMadeWith(`token:${id}`);
      this.#outbox.revoke(`token:${id}`, Date.now());
      this.revoked();
    }
    return label;
  }

  /** Revokes a grant, its tokens, and the personal access tokens that its app created. */
  async endGrant(id: string): Promise<void> {
    this.#tokens.revokeMadeWith(`grant:${id}`);
    this.#enrolment.revokeMadeWith(`grant:${id}`);
    this.#outbox.revoke(`grant:${id}`, Date.now());
    await oauthApi(this.env).revokeGrant(id, this.#id);
    this.revoked();
  }

  /** Revokes all tokens and grants, also those whose code was not redeemed yet. Machines and their links stay. */
  async endAccess(): Promise<void> {
    this.#tokens.revokeAll();
    this.#enrolment.revokeAll();
    this.#outbox.revoke(null, Date.now());
    const api = oauthApi(this.env);
    const grants: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await api.listUserGrants(this.#id, cursor === undefined ? {} : { cursor });
      grants.push(...page.items.map(({ id }) => id));
      ({ cursor } = page);
    } while (cursor !== undefined);
    for (const id of grants) await api.revokeGrant(id, this.#id);
    this.revoked();
  }

  async authenticate(token: string, counts: boolean): Promise<TokenAnswer> {
    if (this.#closure.isClosed) return null;
    const nowMs = Date.now();
    const answer = await this.#tokens.authenticate(token, counts, nowMs);
    if (answer !== null && "spent" in answer && answer.spent.isTold)
      this.notify({
        type: "notice.limit_reached",
        what: `its ${answer.spent.perDay} calls of this day`,
        by: answer.spent.label,
      });
    return answer;
  }

  /** First step of removing the user: permanently refuses all their credentials, and the creation of new ones. */
  close(): void {
    this.#closure.close(Date.now());
    this.#tokens.revokeAll();
    this.#enrolment.revokeAll();
    this.revoked();
  }

  /**
   * Something that this user signs in with was revoked, or a name now stands for another machine or none, so every open stream
   * checks again whether it may continue. Streams and webhooks know by name which machines a limited token may see.
   */
  revoked(): void {
    this.#revocations.announce();
    this.#follower.tell(true);
  }

  /** Settles with the next revocation, or after `timeoutMs`. */
  awaitRevocation(timeoutMs: number): Promise<void> {
    return this.#revocations.wait(() => true, timeoutMs);
  }

  /** Removes every machine of a closed user. Can be repeated. */
  async removeAll(): Promise<void> {
    // A registration that began before the user was closed writes its machine at its end. Later ones are refused.
    await this.#turns.settled();
    for (;;) {
      const [machine] = this.machines();
      if (machine === undefined) return;
      await this.remove(machine.name);
    }
  }

  /** Redeems an authorization code or refresh token of this user (sign-in/oauth/redemptions.ts). */
  redeem(asked: Redemption): Promise<RedemptionAnswer> {
    return this.#redemptions.run(asked);
  }

  audit(entries: readonly AuditEntry[]): void {
    this.#audit.add(entries, Date.now());
  }

  auditPage(query: AuditQuery): AuditRecord[] {
    return this.#audit.read(query);
  }

  notify(notice: Notice): void {
    if (this.#closure.isClosed) return;
    this.#notices.add(notice, Date.now());
    // Those of a version without this log, or of a moment in which the log could not be written, follow with the next one.
    const newest = this.#notices.newest(NOTICES_TO_LOG).toReversed();
    this.#history.pushOwn(newest.map((one) => eventOf(one)));
  }

  notices(limit: number): NoticeRecord[] {
    return this.#notices.newest(limit);
  }

  /**
   * Fills the registry of a new object from the dispatch namespace. For a new user this finds nothing. For a user whose database
   * was lost it restores every machine; their links and link tokens keep working. Removed machines have no script and stay removed.
   * Personal access tokens are stored nowhere else, so they are lost and people must create new ones.
   */
  async #rebuild(): Promise<void> {
    try {
      const found = await machinesInNamespace(this.env, this.#id);
      for (const machine of found) this.#registry.adopt(machine);
      if (found.length > 0)
        console.warn("a registry was lost and was rebuilt from the dispatch namespace", { machines: found.length });
      // The scripts do not know that what they reported was lost. An idle one would report again within the hour, or later if the clock
      // was set back, and its machine would be shown as offline until then. So each is asked once.
      this.ctx.waitUntil(this.#recheckAll(found.map(({ name }) => name)));
      this.ctx.storage.kv.delete(REBUILD_KEY);
    } catch (reason) {
      // If the API is down, machines cannot be added or removed either. The next start of this object tries again.
      console.error("a new registry could not be compared with the dispatch namespace", { reason: String(reason) });
    }
  }

  /** Adopts an unknown machine whose script reported with a valid key: this registry was restored from an old copy. */
  #adoptSoon(slug: string, presence: ReportedPresence, push: EventPush | null): void {
    const adopted = this.#turns.take([namesIn(slug).name], async () => {
      // Queued behind any running removal, and checked against the namespace: a late report of a deleted script must not restore it.
      const machine = await machineInNamespace(this.env, this.#id, slug);
      if (machine === null || this.#closure.isClosed || !this.#registry.adopt(machine)) return;
      console.warn("a machine that the registry had lost was found by its report", { machine: machine.name });
      this.record(slug, presence, push);
    });
    this.ctx.waitUntil(
      adopted.catch((reason: unknown) =>
        console.error("a report of an unknown machine could not be checked", { slug, reason: String(reason) }),
      ),
    );
  }

  /** Uploads a machine's script, and records what its link was issued. A `token` of `issued` is new and returned to the caller. */
  async #write(
    name: string,
    known: MachineRecord | null,
    issued: IssuedLink & { token?: string },
    earlier: EarlierTemplate | null = null,
  ): Promise<Registered> {
    const slug = slugOf(name, await tagOf(this.#id));
    // An upload replaces the running script and ends its calls without an answer. Closing the link first lets them fail with an error.
    if (known !== null && issued.token === undefined)
      await this.#closeLink(name, CloseCode.RESTARTING, "the machine's script is being replaced");
    const current =
      issued.token === undefined ? { ...issuedOf(issued), ...(await this.#newest(name)) } : issuedOf(issued);
    await uploadScript(this.env, { ...current, slug, name, owner: this.#id }, earlier);
    this.#registry.put({ ...current, name, slug, template: earlier?.template ?? this.#version });
    if (known !== null && known.identity !== current.identity)
      await this.#passOn(name, known.identity, current.identity);
    const machine = this.#registry.get(name);
    if (machine === null) throw new Error("a machine that was just written is gone");
    return { machine, created: known === null, token: issued.token ?? null };
  }

  /** Another computer has a machine's name now. The history of the former one belongs neither to it nor to tokens limited to it. */
  async #passOn(name: string, from: string, to: string): Promise<void> {
    this.#history.pass(name, { from, to }, Date.now());
    this.#enrolment.forget(from);
    this.revoked();
    // The history is stored here. The script's copy would show the former computer's sessions among those of the new one.
    await this.#forgetAt(name, null).catch((reason: unknown) =>
      console.warn("a script did not forget the computer that had its name before", { name, reason: String(reason) }),
    );
  }

  async #forgetAt(machine: string, session: string | null): Promise<void> {
    const signal = AbortSignal.timeout(PAGE_TIMEOUT_MS);
    const answer = await postToMachine(this.env, this.#id, machine, ScriptPath.FORGET, { session }, signal);
    await answer.body?.cancel();
    if (!answer.ok) throw new Error(`the script of ${machine} did not forget: HTTP ${answer.status}`);
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
  ): Promise<IssuedLink & { token: string }> {
    const issuedMs = Math.max(Date.now(), (known?.linkIssuedMs ?? 0) + 1);
    const isSame = known !== null && known.identity === identity;
    const key = linkKey ?? (isSame ? known.linkKey : null);
    const expiresMs = issuedMs + (key === null ? KEYLESS_TOKEN_LIFE_MS : LINK_TOKEN_LIFE_MS);
    const token = await makeLinkToken(await linkSecretOf(this.#id, this.env.REPORT_SECRET), expiresMs);
    const hash = await hashOf(token);
    const issued = { identity, linkTokenHash: hash, linkIssuedMs: issuedMs, linkKey: key, token };
    if (known === null) return issued;
    const shown = linkKey === null ? {} : { key: linkKey };
    await this.#tell(name, { change: "issue", issuedMs, identity, token: { hash, expiresMs }, ...shown });
    const reason = isSame ? "the machine's token was rotated" : TAKEN_OVER;
    await this.#closeLink(name, CloseCode.REVOKED, reason);
    return issued;
  }

  /**
   * The hash of the token that a machine dials with now. Its script may have renewed the one that was issued, and the bindings need
   * the current one in case that the secret of the macs has changed, or the object's storage is lost.
   */
  async #newest(name: string): Promise<{ linkTokenHash?: string }> {
    try {
      const hash = (await credentialsOf(this.env, this.#id, name))?.tokens.at(-1)?.hash;
      return hash === undefined ? {} : { linkTokenHash: hash };
    } catch (failure) {
      console.warn("a machine's script did not say its link's credentials", {
        machine: name,
        failure: String(failure),
      });
      return {};
    }
  }

  /** Tells a machine's script what its link accepts. A failure is only logged, because the upload that follows says it as well. */
  async #tell(name: string, change: CredentialChange): Promise<void> {
    try {
      await changeCredentials(this.env, this.#id, name, change);
    } catch (failure) {
      console.warn("a machine's script could not be told its link's credentials", {
        machine: name,
        change: change.change,
        failure: String(failure),
      });
    }
  }

  /** Upgrades a script just after its machine dialled in. An upload drops the link, and at that moment it interrupts no calls. */
  #upgradeSoon(name: string): void {
    this.ctx.waitUntil(this.#upgrades.dialled(name));
  }

  /** Called by the Agent's schedule. */
  async stepUpgrades(): Promise<void> {
    await this.#upgrades.step();
  }

  /** Whether a machine's script exists and is current. If so it is not uploaded again, since that would drop its link and its calls. */
  async #isInPlace({ name }: MachineRecord): Promise<boolean> {
    try {
      const { template } = await machineState(this.env, this.#id, name);
      // During a rollout, and after one that went back, which template a machine has is not for its setup to decide.
      return template === this.#version || !this.#rollouts.allowsUpgradeAtDial;
    } catch (reason) {
      console.warn("a machine's script does not answer and is uploaded again", {
        machine: name,
        reason: String(reason),
      });
      return false;
    }
  }

  /** Closes a machine's link. A failure is only logged: a script that does not answer has no working link. */
  async #closeLink(name: string, code: CloseCode, reason: string): Promise<void> {
    try {
      const signal = AbortSignal.timeout(CLOSE_TIMEOUT_MS);
      const response = await postToMachine(this.env, this.#id, name, ScriptPath.CLOSE, { code, reason }, signal);
      await response.body?.cancel();
    } catch (failure) {
      console.warn("a machine's link could not be closed first", { machine: name, failure: String(failure) });
    }
  }

  /** Stores a push. Answers up to where the machine's log is stored; `null` if there is no such machine or it pushes nothing. */
  #take(slug: string, { position }: ReportedPresence, push: EventPush | null): number | null {
    const machine = this.#registry.ofSlug(slug);
    if (machine === null) return null;
    if (push !== null) {
      const stored = this.#history.push(slug, machine.name, push, position.seq);
      // Once per instance is enough: what is in the log is trimmed by age even if nothing is pushed any more.
      if (push.events.length > 0 && !this.#trims) {
        this.#trims = true;
        this.ctx.waitUntil(this.#trimAt(Date.now() + this.#history.log.retention.days * DAY_MS));
      }
      return stored;
    }
    if (position.seq === 0) return null;
    const state = this.#history.log.machines.of(slug, machine.name);
    const isBehind = (this.#history.log.machines.storedOf(state, position.epoch) ?? 0) < position.seq;
    if (isBehind && !this.#pulling.has(slug)) this.ctx.waitUntil(this.#pull(slug, machine.name));
    return null;
  }

  /**
   * Reads the new events of a script whose template does not push them. On Cloudflare such a script runs on until its machine
   * dials again, and is then upgraded.
   */
  async #pull(slug: string, name: string): Promise<void> {
    this.#pulling.add(slug);
    try {
      for (let pages = 0; pages < MAX_PAGES; pages += 1) {
        const known = this.#registry.ofSlug(slug);
        const { epoch } = known?.position ?? {};
        if (known === null || epoch === undefined) return;
        const state = this.#history.log.machines.of(slug, name);
        const after =
          this.#history.log.machines.storedOf(state, epoch) ?? Math.max(0, (known.position?.seq ?? 0) - FIRST_HISTORY);
        const query = new URLSearchParams({ epoch, seq: String(after) });
        const signal = AbortSignal.timeout(PAGE_TIMEOUT_MS);
        const response = await askMachine(this.env, this.#id, name, `${ScriptPath.EVENTS}?${query}`, { signal });
        if (!response.ok) throw new Error(`HTTP ${response.status}`);
        const page = EventPage.parse(await response.json());
        const events = page.events.map((event) => ({ ...event, session: boundedSession(event.session) }));
        this.#history.push(
          slug,
          name,
          { ...page, events, after },
          page.more ? (known.position?.seq ?? 0) : page.position.seq,
        );
        if (!page.more) return;
      }
    } catch (reason) {
      // Its next report tries again.
      console.warn("the events of a script that does not push them could not be read", {
        name,
        reason: String(reason),
      });
    } finally {
      this.#pulling.delete(slug);
    }
  }

  /** Tells a script that somebody watches. One that does not know of this is of an older template, which reports every piece. */
  async #tellWatched(name: string): Promise<void> {
    try {
      const signal = AbortSignal.timeout(PAGE_TIMEOUT_MS);
      const response = await postToMachine(this.env, this.#id, name, ScriptPath.LIVE, { forMs: LIVE_MS }, signal);
      await response.body?.cancel();
    } catch (reason) {
      // It learns it from the answer to its next report.
      console.warn("a script could not be told that somebody watches", { machine: name, reason: String(reason) });
    }
  }

  async #moveLog(from: string, to: string, position: LogPosition | null): Promise<void> {
    const signal = AbortSignal.timeout(MOVE_TIMEOUT_MS);
    // Wait until the new script answers: a new upload takes a moment to be reachable.
    await machineState(this.env, this.#id, to);
    const numbers = await this.#numbersOf(from, position, signal);
    if (numbers !== null) await this.#postLog(to, numbers, signal);
    for (let after = 0; ;) {
      const log = await askMachine(this.env, this.#id, from, `${ScriptPath.LOG}?after=${after}`, { signal });
      if (!log.ok) throw new Error(`the log of ${from} could not be read: HTTP ${log.status}`);
      const page = LogPage.parse(await log.json());
      // A script of version 0.2 knows no pages: it answers its whole log each time.
      const last = page.at(-1)?.seq ?? 0;
      if (last <= after) return;
      after = last;
      await this.#postLog(to, page, signal);
    }
  }

  /** The numbers under which a log goes on. Of a script before 0.3, which cannot tell them, as far as its reports did. */
  async #numbersOf(machine: string, position: LogPosition | null, signal: AbortSignal): Promise<LogNumbers | null> {
    const answer = await askMachine(this.env, this.#id, machine, `${ScriptPath.LOG}?numbers`, { signal });
    if (!answer.ok) throw new Error(`the log of ${machine} could not be read: HTTP ${answer.status}`);
    const numbers = LogNumbers.safeParse(await answer.json());
    if (numbers.success) return numbers.data;
    return position === null ? null : { position, pushed: 0, streams: [] };
  }

  async #postLog(machine: string, part: LogNumbers | LoggedEvent[], signal: AbortSignal): Promise<void> {
    const moved = await postToMachine(this.env, this.#id, machine, ScriptPath.LOG, part, signal);
    if (!moved.ok) throw new Error(`the log of ${machine} could not be written: HTTP ${moved.status}`);
    await moved.body?.cancel();
  }
}

/** What of a record, or of a new issue, describes the credentials of the link. */
function issuedOf({ identity, linkTokenHash, linkIssuedMs, linkKey }: IssuedLink): IssuedLink {
  return { identity, linkTokenHash, linkIssuedMs, linkKey };
}

function isHosted(name: string): OperatorError {
  return { code: "invalid_request", reason: `"${name}" is a hosted server of yours. Choose another name.` };
}

function nameInvalid(name: string): OperatorError {
  const reason = `"${name}" cannot be a machine's name: use 1 to 32 of a-z, 0-9 and single hyphens inside; names such as "api" and "mcp" are the operator's own.`;
  return { code: "invalid_request", reason };
}
