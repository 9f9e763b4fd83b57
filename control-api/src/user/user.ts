import { Agent } from "agents";
import { boundedSession } from "#protocol/bounded.ts";
import type { OperatorError } from "#protocol/error.ts";
import { type EventPush, type LogPosition } from "#protocol/event.ts";
import { isRecord, parseJson } from "#protocol/json.ts";
import { KEYS_CAPABILITY } from "#protocol/control.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import type { Rollout, RolloutMode, StartRollout } from "#protocol/rollout.ts";
import { type Presence, type ReportedPresence } from "#protocol/script-api.ts";
import { namesIn, slugOf } from "#protocol/slug.ts";
import type { AuditEntry, AuditRecord } from "../audit/entry.ts";
import { AuditLog, type AuditQuery } from "../audit/log.ts";
import { eventOf, type Notice, type NoticeRecord } from "../audit/notice.ts";
import type { EventOrigin, EventQuery, EventsRead, EventsRefused, StoredEvent } from "../history/event-query.ts";
import { type ForgetAnswer, History } from "../history/history.ts";
import { DELIVERY_PREFIX } from "../history/limits.ts";
import type { Retention, RetentionEffect } from "../history/retention.ts";
import type { IndexedCost, IndexedSession, SessionLoad } from "../history/session-index.ts";
import type { IndexedSessions, ListedSession, SessionListQuery } from "../history/session-query.ts";
import { CROWDED_MS, Waiters } from "../history/waiters.ts";
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
import { type Bearer, type Credential, type Sight, tagOf, type TokenAnswer } from "../http/caller.ts";
import type { Env } from "../env.ts";
import type {
  MachineEntry,
  ListedMachines,
  MachineQuery,
  NamedMachines,
  NameQuery,
} from "../machines/machine-query.ts";
import { type MachineRecord, PAGE_APPROVALS, type PageApproval } from "../machines/machine-record.ts";
import { type MeantMachine, nameOf, whyUnknown } from "../http/shown-machine.ts";
import type { ServerBundle } from "../machines/hosted-form.ts";
import { machineState } from "../machines/machine-state.ts";
import { forgetAtScript, tellWatched } from "../machines/script-orders.ts";
import { machineInNamespace, machinesInNamespace } from "../machines/namespace-scripts.ts";
import type { ReportAnswer } from "../machines/report-answer.ts";
import { scriptCode, scriptVersion, wrapper } from "../machines/provisioning.ts";
import type { Redemption, RedemptionAnswer } from "../sign-in/oauth/redemption.ts";
import { Redemptions } from "../sign-in/oauth/redemptions.ts";
import { SpentTokens } from "../sign-in/oauth/spent-tokens.ts";
import { allGrants } from "../sign-in/oauth/all-grants.ts";
import { oauthApi } from "../sign-in/oauth/authorization-server.ts";
import { Enrolment, type Enrolled, type EnrolRequest, type ShownKey } from "../enrolment/enrolment.ts";
import type { KeyLimits } from "../enrolment/enrolment-keys.ts";
import { Closure } from "./closure.ts";
import { EventIntake } from "./event-intake.ts";
import { HostedServers } from "./hosted-servers.ts";
import { Follower, type Renamed } from "./follower.ts";
import { MachineChanges, UNAUTHORIZED } from "./machine-changes.ts";
import { MachineList } from "./machine-list.ts";
import { Notices } from "./notices.ts";
import { type Doubt, PresenceChecks } from "./presence-checks.ts";
import { checkMachine, checkServer } from "./rollout/check-machine.ts";
import { Rollouts } from "./rollout/rollouts.ts";
import { RolloutStore } from "./rollout/rollout-store.ts";
import { Registry } from "./registry.ts";
import type { ServerRecord } from "./server-store.ts";
import { UnfinishedScripts } from "./unfinished-scripts.ts";
import { Upgrades } from "./upgrades.ts";
import { Turns } from "./turns.ts";
import type { Registered, UserRpc } from "./user-rpc.ts";
import { type AskedLimits, type MadeToken, type TokenMaker, type TokenRecord, MAX_TOKENS, Tokens } from "./tokens.ts";

/** Storage key of the platform start that this object last saw. */
const START_KEY = "platform-start";

/** Storage key: when the enrolled machines are looked through next. */
const SWEEP_KEY = "sweep-enrolled";

/** Storage key: when what changes have left is finished next. */
const FINISH_KEY = "finish-changes";

/** Storage key: when decisions and calls that wait for their machine are tried again. */
const DELIVERY_KEY = "deliver-again";

/** Storage key that is set until the registry was compared with the namespace: this object's database is new, or was lost. */
const REBUILD_KEY = "registry-to-rebuild";

/** Notices that are put into the log together with a new one, if they are not in it yet. */
const NOTICES_TO_LOG = 20;

/**
 * The Durable Object of one user: the registry of their machines, what happened on them, their tokens, grants and audit log. It assembles its parts.
 * What its methods answer is described where their callers look it up (user-rpc.ts).
 */
export class User extends Agent<Env> implements UserRpc {
  readonly #registry = new Registry(this.ctx.storage.sql);
  readonly #tokens = new Tokens(this.ctx.storage.sql, () => this.#id, {
    identityOf: (name) => this.#identityOf(name),
    nameOf: (identity) => this.#registry.nameOf(identity) ?? this.#servers.nameOf(identity),
  });
  readonly #servers = new HostedServers(this.env, this.ctx.storage, () => this.#id);
  readonly #machineList = new MachineList(this.ctx.storage.sql, (name) => this.machine(name));
  readonly #closure = new Closure(this.ctx.storage.sql);
  readonly #audit = new AuditLog(this.ctx.storage.sql);
  readonly #notices = new Notices(this.ctx.storage.sql);
  readonly #spentTokens = new SpentTokens(this.ctx.storage.sql);
  readonly #redemptions = new Redemptions(this.env, this.#spentTokens, (grant) => this.endGrant(grant));
  readonly #history = new History(
    this.ctx.storage.sql,
    (name) => this.#registry.has(name),
    () => this.#follower.tell(false),
    (origin, turn) => this.#outbox.taken(origin, turn, Date.now()),
    this.env.RESTORED,
  );
  readonly #outbox = new Outbox(this.ctx.storage.sql);
  readonly #deliveries = new Deliveries(this.#outbox, {
    attempt: (due, signal) => attempt(this.env, this.#id, due, signal),
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
    (bearer) => this.#tokens.isValid(bearer, Date.now()),
  );
  readonly #forms = new Forms();
  /** Wakes the streams and long-polls that wait for a revocation (sign-in/lease.ts). */
  readonly #revocations = new Waiters<void>(CROWDED_MS);
  readonly #follower = new Follower(this.ctx, this.env, () => this.#id);
  /** Machines that come and go with an enrolment key, without a person. */
  readonly #enrolment = new Enrolment(this.ctx.storage.sql, {
    machine: (name) => this.machine(name),
    nameOf: (identity) => this.#registry.nameOf(identity),
    isValid: (credential) => this.#tokens.isValid(credential, Date.now()),
    isOnline: (name) => this.#checks.isOnline(name),
    // No machine's name has a space.
    inTurn: (identity, enrol) => this.#turns.take([`enrolment ${identity}`], enrol),
    register: (name, { identity, linkKey }, rotate) =>
      this.register(
        { name, identity, ...(linkKey === undefined ? {} : { linkKey }), ...(rotate ? { rotate } : {}) },
        null,
      ),
    remove: (machine) => this.remove(machine, null),
    removeSoon: (names) => this.#changes.removeSoon(names),
    sweepIn: (seconds) => this.#onceIn(seconds, SWEEP_KEY, "sweepEnrolled"),
  });
  readonly #upgrades = new Upgrades({
    now: () => Date.now(),
    isAllowed: () => this.#rollouts.allowsUpgradeAtDial,
    upgrade: async (name) => {
      await this.upgrade(name, null).catch((reason: unknown) =>
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
    upload: (name, earlier) => this.#changes.rollOut(name, earlier),
    wake: async (ms, run) => void (await this.schedule(Math.max(1, Math.ceil(ms / 1000)), "stepRollout", { run })),
    newRun: () => crypto.randomUUID(),
  });
  /** Changes of one machine, one after the other. */
  readonly #turns = new Turns();
  readonly #unfinished = new UnfinishedScripts(this.ctx.storage.sql);
  readonly #changes = new MachineChanges(this.env, () => this.#id, {
    registry: this.#registry,
    servers: this.#servers,
    turns: this.#turns,
    enrolment: this.#enrolment,
    history: this.#history,
    outbox: this.#outbox,
    closure: this.#closure,
    unfinished: this.#unfinished,
    version: () => this.#version,
    mayUpgrade: () => this.#rollouts.allowsUpgradeAtDial,
    rollouts: this.#rollouts,
    revoked: (renamed) => this.revoked(renamed),
    isValid: (credential) => this.#tokens.isValid(credential, Date.now()),
    finishIn: (seconds) => this.#onceIn(seconds, FINISH_KEY, "finishChanges"),
  });
  readonly #intake = new EventIntake({
    ctx: this.ctx,
    env: this.env,
    user: () => this.#id,
    registry: this.#registry,
    history: this.#history,
    trimIn: async (seconds) => void (await this.schedule(seconds, "trimHistory")),
  });
  readonly #checks = new PresenceChecks({
    env: this.env,
    user: () => this.#id,
    registry: this.#registry,
    recheckIn: async (seconds, doubt) => void (await this.schedule(seconds, "recheck", doubt)),
  });

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (this.#registry.isNew) ctx.storage.kv.put(REBUILD_KEY, true);
    if (ctx.storage.kv.get(REBUILD_KEY) === true) void ctx.blockConcurrencyWhile(() => this.#rebuild());
    ctx.waitUntil(
      this.#rollouts
        .revive()
        .catch((reason: unknown) => console.error("a rollout could not go on", { reason: String(reason) })),
    );
    ctx.waitUntil(this.#changes.finish());
    // Taken in and not delivered, or not scheduled to be: this object was restarted in the middle.
    if (
      ctx.storage.kv.get(DELIVERY_KEY) === undefined &&
      (this.#undelivered().length > 0 || this.#outbox.waiting().length > 0)
    )
      ctx.waitUntil(this.#deliverAgain());
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

  machinesByName(query: NameQuery): NamedMachines {
    return this.#machineList.byName(query);
  }

  machinePage(query: MachineQuery): ListedMachines {
    return this.#machineList.page(query, Date.now());
  }

  machineNames(): string[] {
    return this.#machineList.names();
  }

  onlineMachines(visible: readonly string[] | null): string[] {
    return this.#machineList.online(visible, Date.now());
  }

  machineEntries(): MachineEntry[] {
    return this.#machineList.entries(Date.now());
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

  deployServer(name: string, bundle: ServerBundle, by: Bearer | null): Promise<ServerRecord | OperatorError> {
    return this.#turns.take([name], async () => {
      await this.#changes.finishOf([name]);
      if (this.#closure.isClosed || !this.#changes.isAllowed(by)) return UNAUTHORIZED;
      if (!this.#registry.has(name)) return this.#servers.deploy(name, bundle, this.#changes, by);
      return {
        code: "invalid_request",
        reason: `"${name}" is one of your machines. Choose another name for the server.`,
      };
    });
  }

  rollBackServer(name: string, version: number | null, by: Bearer | null): Promise<ServerRecord | OperatorError> {
    return this.#turns.take([name], async () => {
      await this.#changes.finishOf([name]);
      if (!this.#changes.isAllowed(by)) return UNAUTHORIZED;
      return this.#servers.rollback(name, version, this.#changes, by);
    });
  }

  serverSecrets(name: string): Promise<string[] | OperatorError> {
    return this.#servers.secrets(name);
  }

  setServerSecret(name: string, secret: string, text: string | null, by: Bearer | null): Promise<OperatorError | null> {
    return this.#turns.take([name], async () =>
      this.#changes.isAllowed(by) ? this.#servers.setSecret(name, secret, text, this.#changes, by) : UNAUTHORIZED,
    );
  }

  register(request: RegisterRequest, by: Bearer | null): Promise<Registered | OperatorError> {
    return this.#changes.register(request, by);
  }

  rotate(machine: MeantMachine, linkKey: string | null, by: Bearer | null): Promise<Registered | OperatorError> {
    return this.#changes.rotate(machine, linkKey, by);
  }

  restore(name: string, by: Bearer | null): Promise<MachineRecord | OperatorError> {
    return this.#changes.restore(name, by);
  }

  remove(machine: MeantMachine, by: Bearer | null): Promise<OperatorError | null> {
    return this.#changes.remove(machine, by);
  }

  rename(from: MeantMachine, to: string, by: Bearer | null): Promise<MachineRecord | OperatorError> {
    return this.#changes.rename(from, to, by);
  }

  upgrade(name: string, by: Bearer | null): Promise<boolean | OperatorError> {
    return this.#changes.upgrade(name, by);
  }

  setRemoteApproval(machine: MeantMachine, isAllowed: boolean, by: Bearer | null): OperatorError | null {
    return this.#choose(machine, by, (name) => this.#registry.setRemoteApproval(name, isAllowed));
  }

  limitedPageApprovals(): Map<string, PageApproval> {
    return this.#registry.limitedPageApprovals();
  }

  /** @param isFresh whether the person has signed in recently. To allow more takes that, as allowing itself does; to allow less never does. */
  setPageApproval(
    machine: MeantMachine,
    approval: PageApproval,
    isFresh: boolean,
    by: Bearer | null,
  ): OperatorError | null {
    const now = this.#registry.get(nameOf(machine))?.pageApproval ?? approval;
    const isMore = PAGE_APPROVALS.indexOf(approval) < PAGE_APPROVALS.indexOf(now);
    if (isMore && !isFresh)
      return { code: "fresh_sign_in_needed", what: "Allowing more on pages", page: `${this.env.ORIGIN}/machines` };
    return this.#choose(machine, by, (name) => this.#registry.setPageApproval(name, approval));
  }

  setElicitation(machine: MeantMachine, isAllowed: boolean, by: Bearer | null): OperatorError | null {
    return this.#choose(machine, by, (name) => this.#registry.setElicitation(name, isAllowed));
  }

  /** What its person chooses for a machine. A hosted server has none of these choices. */
  #choose(machine: MeantMachine, by: Bearer | null, set: (name: string) => boolean): OperatorError | null {
    const refusal = this.#changes.refusal(machine, by);
    if (refusal !== null) return refusal;
    const name = nameOf(machine);
    return set(name) ? null : { code: "machine_unknown", machine: name };
  }

  answerToForm(key: string, timeoutMs: number): Promise<ClientAnswer | null> {
    return this.#forms.answerTo(key, timeoutMs);
  }

  answerForm(key: string, answer: ClientAnswer | null): boolean {
    return this.#forms.answer(key, answer);
  }

  rollout(): { rollout: Rollout | null; mode: RolloutMode } {
    return { rollout: this.#rollouts.current, mode: this.#rolloutStore.mode };
  }

  setRolloutMode(mode: RolloutMode, by: Bearer | null): OperatorError | null {
    if (!this.#changes.isAllowed(by)) return UNAUTHORIZED;
    this.#rolloutStore.mode = mode;
    return null;
  }

  async startRollout(asked: StartRollout, by: Bearer | null): Promise<Rollout | OperatorError> {
    if (this.#closure.isClosed || !this.#changes.isAllowed(by)) return UNAUTHORIZED;
    return this.#rollouts.start(asked);
  }

  async changeRollout(change: "pause" | "resume" | "back", by: Bearer | null): Promise<Rollout | OperatorError> {
    if (!this.#changes.isAllowed(by)) return UNAUTHORIZED;
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

  record(slug: string, presence: ReportedPresence, push: EventPush | null): ReportAnswer {
    const unfinished = this.#unfinished.get(slug);
    if (unfinished?.because === "renamed")
      return { wantsFacts: false, stored: this.#intake.take(unfinished.newSlug, presence, push), liveMs: 0 };
    if (unfinished !== null && !this.#registry.hasSlug(slug)) return { wantsFacts: false, stored: null, liveMs: 0 };
    if (this.#isOfAnother(slug, presence)) return { wantsFacts: false, stored: null, liveMs: 0 };
    const recorded = this.#registry.record(slug, presence, Date.now());
    if (recorded === null && !this.#registry.hasSlug(slug)) this.#adoptSoon(slug, presence, push);
    const stored = this.#intake.take(slug, presence, push);
    if (recorded !== null && presence.online) {
      this.ctx.waitUntil(this.#decisions.deliverAll(recorded.name));
      this.ctx.waitUntil(this.#deliveries.deliver(recorded.name, recorded.hasJustDialled));
    }
    const isOutdated = recorded?.hasJustDialled === true && presence.template !== this.#version;
    if (isOutdated && this.#rollouts.allowsUpgradeAtDial) this.#upgradeSoon(recorded.name);
    return { wantsFacts: recorded?.wantsFacts ?? false, stored, liveMs: this.#history.liveMs };
  }

  /**
   * Whether a report is late: its machine was renamed or removed since, and another machine has got its former name. Both have the same
   * slug and report key, one after the other. That its computer has no machine here is not enough: on Cloudflare the script of one that
   * was taken over may go on with the bindings of the computer that had its name before.
   */
  #isOfAnother(slug: string, { identity = "" }: ReportedPresence): boolean {
    if (identity === "") return false;
    const name = this.#registry.nameOf(identity);
    if (name === null) return this.#registry.isRemoved(identity);
    return name !== (this.#registry.ofSlug(slug)?.name ?? name);
  }

  inbox(query: InboxQuery): InboxPage | null {
    return this.#history.pending(query, Date.now());
  }

  inboxItem(visible: readonly string[] | null, id: number): InboxItem | null {
    const item = this.#history.inbox.get(id);
    if (item === null || visible === null) return item;
    // A removed machine's name may be another computer's now.
    return !item.machineGone && visible.includes(this.#identityOf(item.machine) ?? "") ? item : null;
  }

  askedItem(about: EventOrigin, request: string): InboxItem | null {
    return this.#history.asked(about, request);
  }

  inboxCount(): number {
    return this.#history.inbox.count(Date.now());
  }

  decide(id: number, verdict: Verdict, by: Decider): Promise<DecisionResult | OperatorError> {
    return this.#decisions.decide(id, verdict, by);
  }

  /** Called by the Agent's schedule: delivers decisions that could not be delivered. Those of machines that are away wait for them. */
  async deliverDecisions(): Promise<void> {
    this.ctx.storage.kv.delete(DELIVERY_KEY);
    for (const record of this.#outbox.expire(Date.now())) this.#tellDelivery(record);
    // Not awaited. Nothing else that is scheduled runs before this returns, and a machine may take a minute and a half for each call.
    for (const machine of this.#undelivered()) this.ctx.waitUntil(this.#decisions.deliverAll(machine));
    for (const { machine } of this.#outbox.waiting())
      if (this.#registry.isOnline(machine)) this.ctx.waitUntil(this.#deliveries.deliver(machine, false));
    if (this.#outbox.waiting().length > 0) await this.#deliverAgain();
  }

  /** Machines that are online, and for which a decision was accepted that they do not have. */
  #undelivered(): string[] {
    const machines = new Set(this.#history.inbox.undelivered(null).map(({ machine }) => machine));
    return [...machines].filter((machine) => this.#registry.isOnline(machine));
  }

  async send(request: Omit<DeliveryRequest, "identity">): Promise<DeliveryRecord | OperatorError> {
    const machine = this.machine(request.machine);
    if (machine === null) return { code: "machine_unknown", machine: request.machine };
    const sent = await this.#deliveries.send({ ...request, identity: machine.identity });
    if (sent === "key_reused") return { code: "key_reused", key: request.key };
    if (sent === "full") {
      const reason = `too many calls wait for machine "${request.machine}" already, or too large ones for all your machines. Cancel some, or wait until they are back.`;
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
    const { session_id: made = null, turn_id: turn = null } = structured;
    const session = this.#outbox.sessionOf(record.id) ?? (typeof made === "string" ? boundedSession(made) : null);
    const { identity = "" } = this.#outbox.dueOf(record.id) ?? {};
    this.#history.tell({ name: machine, identity }, DELIVERY_PREFIX + name, session, {
      ...deliveryView(record),
      turn_id: turn,
    });
  }

  async #deliverAgain(): Promise<void> {
    await this.#onceIn(DELIVER_AGAIN_S, DELIVERY_KEY, "deliverDecisions");
  }

  listSessions(query: SessionListQuery): IndexedSessions {
    return this.#history.list(query, (name) => this.#registry.isOnline(name));
  }

  session(visible: readonly string[] | null, machine: string, session: string): ListedSession | null {
    const everything = { project: null, state: null, words: [], before: null, limit: 1 };
    return this.listSessions({ ...everything, visible, machine, session }).sessions[0] ?? null;
  }

  sessionOf(about: EventOrigin, session: string): IndexedSession | null {
    return this.#history.sessionOf(about, session);
  }

  sessionLoad(): SessionLoad[] {
    return this.#history.sessions.load();
  }

  indexedCosts(sinceMs: number): IndexedCost[] {
    return this.#history.sessions.costs(sinceMs);
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

  async forget(
    machine: string,
    session: string | null,
    former: boolean,
    by: Bearer | null,
  ): Promise<ForgetAnswer | OperatorError> {
    if (!this.#changes.isAllowed(by)) return UNAUTHORIZED;
    const answer = this.#history.forget(machine, session, former);
    if (!former && this.#registry.has(machine)) await forgetAtScript(this.env, this.#id, machine, session);
    return answer;
  }

  retention(): Retention {
    return this.#history.log.retention;
  }

  retentionEffect(chosen: Retention): RetentionEffect {
    return this.#history.log.effectOf(chosen, Date.now());
  }

  async retain(chosen: Retention, by: Bearer | null): Promise<OperatorError | null> {
    if (!this.#changes.isAllowed(by)) return UNAUTHORIZED;
    this.#history.log.retain(chosen, Date.now());
    await this.trimHistory();
    return null;
  }

  /** Called by the Agent's schedule, too. */
  trimHistory(): Promise<void> {
    return this.#intake.trim();
  }

  newestEvent(): LogPosition {
    return this.#history.log.position;
  }

  pollEvents(query: EventQuery): Promise<EventsRead | EventsRefused> {
    if (query.detail === "deltas")
      for (const name of this.#history.watch(query)) this.ctx.waitUntil(tellWatched(this.env, this.#id, name));
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

  correct(slug: string, state: Presence): void {
    this.#checks.correct(slug, state);
  }

  doubt(name: string): Promise<void> {
    return this.#checks.doubt(name);
  }

  /** Called by the Agent's schedule. */
  recheck(doubt: Doubt): Promise<void> {
    return this.#checks.recheck(doubt);
  }

  follow(isFollowed: boolean): void {
    this.#follower.follow(isFollowed);
  }

  async createToken(label: string, limits: AskedLimits, maker: TokenMaker): Promise<MadeToken | OperatorError> {
    if (this.#closure.isClosed) return UNAUTHORIZED;
    const { credential } = maker;
    for (const machine of limits.machines ?? []) {
      const refusal = this.#changes.refusal(machine, credential);
      if (refusal !== null) return refusal;
      const name = nameOf(machine);
      if (this.#identityOf(name) !== null) continue;
      return { code: "invalid_request", reason: whyUnknown(name) };
    }
    const machines = limits.machines?.map(nameOf) ?? null;
    // A token that ends must not be able to make one that does not, which would give it permanent access.
    const latestMs = this.#tokens.expiryOf(maker);
    const expiresMs = limits.expiresMs ?? latestMs;
    if (latestMs !== null && expiresMs !== null && expiresMs > latestMs) {
      const reason = `the token that makes it expires at ${new Date(latestMs).toISOString()}, and none that it makes may last longer.`;
      return { code: "invalid_request", reason };
    }
    const made = await this.#tokens.create(label, { ...limits, machines, expiresMs }, maker);
    if (made !== "full") return made ?? UNAUTHORIZED;
    const reason = `you have ${MAX_TOKENS} tokens, the most that one person may have. Revoke those that are not used any more.`;
    return { code: "invalid_request", reason };
  }

  /** What a token's limit to a machine or hosted server is stored as; `null` if it is not known. A rebuilt registry has empty ones. */
  #identityOf(name: string): string | null {
    return this.machine(name)?.identity || null;
  }

  async createEnrolmentKey(
    limits: KeyLimits,
    credential: Credential | null,
  ): Promise<{ key: string; record: ShownKey } | OperatorError> {
    if (this.#closure.isClosed) return UNAUTHORIZED;
    return this.#enrolment.createKey(this.#id, limits, credential);
  }

  enrolmentKeys(): ShownKey[] {
    return this.#enrolment.keys();
  }

  revokeEnrolmentKey(id: string, andMachines: boolean): Promise<{ tag: string; removed: string[] } | null> {
    return this.#enrolment.revokeKey(id, andMachines);
  }

  async enrol(key: string, request: EnrolRequest): Promise<Enrolled | OperatorError> {
    if (this.#closure.isClosed) return UNAUTHORIZED;
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

  /** One call is scheduled at a time, also over restarts. The callback deletes the key under which the time of its call is kept. */
  async #onceIn(
    seconds: number,
    key: string,
    callback: "sweepEnrolled" | "finishChanges" | "deliverDecisions",
  ): Promise<void> {
    const dueMs = this.ctx.storage.kv.get<number>(key);
    const nowMs = Date.now();
    if (dueMs !== undefined && dueMs > nowMs && dueMs <= nowMs + seconds * 1000) return;
    this.ctx.storage.kv.put(key, nowMs + seconds * 1000);
    await this.schedule(seconds, callback);
  }

  tokenSight(id: string): Sight | null {
    return this.#tokens.sightOf(id, Date.now());
  }

  tokens(): TokenRecord[] {
    return this.#tokens.list();
  }

  revokeToken(id: string): string | null {
    const label = this.#tokens.revoke(id);
    if (label !== null) {
      this.#enrolment.revokeMadeWith(`token:${id}`);
      this.#outbox.revoke(`token:${id}`, Date.now());
      this.#history.inbox.withdraw(`token:${id}`);
      this.revoked();
    }
    return label;
  }

  async endGrant(id: string): Promise<void> {
    this.#tokens.revokeMadeWith(`grant:${id}`);
    this.#enrolment.revokeMadeWith(`grant:${id}`);
    this.#outbox.revoke(`grant:${id}`, Date.now());
    this.#history.inbox.withdraw(`grant:${id}`);
    await oauthApi(this.env).revokeGrant(id, this.#id);
    // Not before: if this object is restarted in between, the next use of a replaced token ends the grant.
    this.#spentTokens.forget(id);
    this.revoked();
  }

  replaceGrant(former: string, id: string): void {
    this.#tokens.passOn(`grant:${former}`, `grant:${id}`);
    this.#enrolment.passOn(`grant:${former}`, `grant:${id}`);
    this.#outbox.passOn(`grant:${former}`, `grant:${id}`, Date.now());
    this.#history.inbox.passOn(`grant:${former}`, `grant:${id}`);
    this.#spentTokens.forget(former);
    this.revoked();
  }

  async endBrowsers(ids: readonly string[], byAnother: boolean): Promise<void> {
    this.#tokens.endBrowsers(ids);
    if (byAnother) for (const id of ids) this.#history.inbox.withdraw(`browser:${id}`);
    this.revoked();
    if (byAnother) await this.endUnredeemedGrants();
  }

  async endAccess(): Promise<void> {
    this.#tokens.revokeAll();
    this.#enrolment.revokeAll();
    this.#outbox.revoke(null, Date.now());
    const api = oauthApi(this.env);
    for (const { id } of await allGrants(api, this.#id)) await this.endGrant(id);
    this.revoked();
  }

  async endUnredeemedGrants(): Promise<void> {
    for (const { id, expiresAt } of await allGrants(oauthApi(this.env), this.#id))
      if (expiresAt === undefined) await this.endGrant(id);
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

  close(): void {
    this.#closure.close(Date.now());
    this.#tokens.revokeAll();
    this.#enrolment.revokeAll();
    this.#outbox.revoke(null, Date.now());
    this.revoked();
  }

  /**
   * Something that this user signs in with was revoked, or a name now stands for another machine or none, so every open stream
   * checks again whether it may continue. Streams and webhooks know by name which machines a limited token may see.
   */
  revoked(renamed: readonly Renamed[] = []): void {
    this.#revocations.announce();
    this.#deliveries.endRevoked();
    this.#follower.tell(true, renamed);
  }

  awaitRevocation(timeoutMs: number): Promise<void> {
    return this.#revocations.wait(() => true, timeoutMs);
  }

  async removeAll(): Promise<void> {
    // A registration that began before the user was closed writes its machine at its end. Later ones are refused.
    await this.#turns.settled();
    await this.#changes.finish();
    for (;;) {
      const [name] = this.machineNames();
      if (name === undefined) return;
      await this.remove(name, null);
    }
  }

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
      this.ctx.waitUntil(this.#checks.recheckAll(found.map(({ name }) => name)));
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

  /** Upgrades a script just after its machine dialled in. An upload drops the link, and at that moment it interrupts no calls. */
  #upgradeSoon(name: string): void {
    this.ctx.waitUntil(this.#upgrades.dialled(name));
  }

  /** Called by the Agent's schedule. */
  async finishChanges(): Promise<void> {
    this.ctx.storage.kv.delete(FINISH_KEY);
    await this.#changes.finish();
  }

  /** Called by the Agent's schedule. */
  async stepUpgrades(): Promise<void> {
    await this.#upgrades.step();
  }
}
