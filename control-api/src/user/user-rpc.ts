import type { OperatorError } from "#protocol/error.ts";
import type { EventPush, LogPosition } from "#protocol/event.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import type { Rollout, RolloutMode, StartRollout } from "#protocol/rollout.ts";
import type { Presence, ReportedPresence } from "#protocol/script-api.ts";
import type { AuditEntry, AuditRecord } from "../audit/entry.ts";
import type { AuditQuery } from "../audit/log.ts";
import type { Notice, NoticeRecord } from "../audit/notice.ts";
import type { DeliveryRecord, DeliveryRequest } from "../delivery/delivery.ts";
import type { ClientAnswer } from "../elicitation/form.ts";
import type { EventOrigin, EventQuery, EventsRead, EventsRefused, StoredEvent } from "../history/event-query.ts";
import type { ForgetAnswer } from "../history/history.ts";
import type { Retention, RetentionEffect } from "../history/retention.ts";
import type { IndexedCost, IndexedSession, SessionLoad } from "../history/session-index.ts";
import type { IndexedSessions, ListedSession, SessionListQuery } from "../history/session-query.ts";
import type { Decider, DecisionResult, InboxItem, InboxPage, InboxQuery, Verdict } from "../inbox/inbox-item.ts";
import type { Enrolled, EnrolRequest, ShownKey } from "../enrolment/enrolment.ts";
import type { KeyLimits } from "../enrolment/enrolment-keys.ts";
import type { Bearer, Credential, Sight, TokenAnswer } from "../http/caller.ts";
import type { ServerBundle } from "../machines/hosted-form.ts";
import type {
  MachineEntry,
  ListedMachines,
  MachineQuery,
  NamedMachines,
  NameQuery,
} from "../machines/machine-query.ts";
import type { MachineRecord, PageApproval } from "../machines/machine-record.ts";
import type { MeantMachine } from "../http/shown-machine.ts";
import type { ReportAnswer } from "../machines/report-answer.ts";
import type { Redemption, RedemptionAnswer } from "../sign-in/oauth/redemption.ts";
import type { ServerRecord } from "./server-store.ts";
import type { AskedLimits, MadeToken, TokenMaker, TokenRecord } from "./tokens.ts";

type MaybeAsync<Result> = Result | Promise<Result>;

/** A machine after registration. `token` is its new link token, or `null` if it keeps its old one. */
export type Registered = { machine: MachineRecord; created: boolean; token: string | null };

/**
 * The RPC methods of a user's object. Callers import this interface and not the class, which imports nearly everything and would
 * cause import cycles. Methods that change the registry return an `OperatorError`, because RPC does not preserve the class of a
 * thrown error.
 */
export interface UserRpc extends Rpc.DurableObjectBranded {
  /** All machines in full. There may be a thousand, so a caller that needs a part of them calls one of the next five. */
  machines(): MaybeAsync<MachineRecord[]>;
  machinesByName(query: NameQuery): MaybeAsync<NamedMachines>;
  machinePage(query: MachineQuery): MaybeAsync<ListedMachines>;
  /** The names of all machines and hosted servers, sorted. */
  machineNames(): MaybeAsync<string[]>;
  /** The names of those that are online, of the computers that the reader may see (`null`: all). */
  onlineMachines(visible: readonly string[] | null): MaybeAsync<string[]>;
  machineEntries(): MaybeAsync<MachineEntry[]>;
  machine(name: string): MaybeAsync<MachineRecord | null>;
  /** The current names of the machines with these identities. Removed ones are left out. */
  namesOf(identities: readonly string[]): MaybeAsync<string[]>;
  /**
   * Changes of machines and servers. `by`: what their caller was let in with. It is looked at again when they are written, because they wait for
   * their turn and for uploads. `null` for those whose access cannot be revoked. Not optional, so that no route forgets it.
   */
  register(request: RegisterRequest, by: Bearer | null): MaybeAsync<Registered | OperatorError>;
  /** Creates a new link token, and binds the link to `linkKey` unless that is `null`. */
  rotate(machine: MeantMachine, linkKey: string | null, by: Bearer | null): MaybeAsync<Registered | OperatorError>;
  /** Undoes the last takeover of a machine, or the last change of its key. */
  restore(name: string, by: Bearer | null): MaybeAsync<MachineRecord | OperatorError>;
  /** Says whether clients may answer permission requests of a machine. */
  setRemoteApproval(machine: MeantMachine, isAllowed: boolean, by: Bearer | null): MaybeAsync<OperatorError | null>;
  /** What may be allowed on pages, for the machines where that is less than everything. */
  limitedPageApprovals(): MaybeAsync<Map<string, PageApproval>>;
  /** Says what may be allowed on pages for a machine. */
  setPageApproval(
    machine: MeantMachine,
    approval: PageApproval,
    isFresh: boolean,
    by: Bearer | null,
  ): MaybeAsync<OperatorError | null>;
  /** Says whether requests of a machine may be put to its person in an MCP client. */
  setElicitation(machine: MeantMachine, isAllowed: boolean, by: Bearer | null): MaybeAsync<OperatorError | null>;
  remove(machine: MeantMachine, by: Bearer | null): MaybeAsync<OperatorError | null>;
  rename(from: MeantMachine, to: string, by: Bearer | null): MaybeAsync<MachineRecord | OperatorError>;
  upgrade(name: string, by: Bearer | null): MaybeAsync<boolean | OperatorError>;

  /** The current rollout, or the last one, and whether templates also reach machines without one. */
  rollout(): MaybeAsync<{ rollout: Rollout | null; mode: RolloutMode }>;
  setRolloutMode(mode: RolloutMode, by: Bearer | null): MaybeAsync<OperatorError | null>;
  startRollout(asked: StartRollout, by: Bearer | null): MaybeAsync<Rollout | OperatorError>;
  changeRollout(change: "pause" | "resume" | "back", by: Bearer | null): MaybeAsync<Rollout | OperatorError>;

  /** The user's hosted servers. `machines` lists them, too, and `remove` deletes them. */
  servers(): MaybeAsync<ServerRecord[]>;
  server(name: string): MaybeAsync<ServerRecord | null>;
  /** Uploads a new version of a hosted server, or a new server. A machine's name cannot be taken: both have the same address. */
  deployServer(name: string, bundle: ServerBundle, by: Bearer | null): MaybeAsync<ServerRecord | OperatorError>;
  /** Uploads an earlier version again; `null`: the one before the current one. */
  rollBackServer(name: string, version: number | null, by: Bearer | null): MaybeAsync<ServerRecord | OperatorError>;
  /** The names of its secrets. */
  serverSecrets(name: string): MaybeAsync<string[] | OperatorError>;
  /** Sets a secret, or deletes it (`null`). */
  setServerSecret(
    name: string,
    secret: string,
    text: string | null,
    by: Bearer | null,
  ): MaybeAsync<OperatorError | null>;

  /** Records a report of a machine's script, and stores the events that it pushes. `push` is absent from scripts of a template that pushes no events. */
  record(slug: string, presence: ReportedPresence, push: EventPush | null): MaybeAsync<ReportAnswer>;
  /** A report in the name of this script had a wrong key. */
  refused(slug: string): MaybeAsync<void>;
  /** Records the state that a script answered. Unlike `record` it does not upgrade the script, since calls may be running. */
  correct(slug: string, state: Presence): MaybeAsync<void>;
  /** Shows a machine as offline because its script did not answer, and checks the script again later. */
  doubt(name: string): MaybeAsync<void>;

  /** What sessions wait for a person to decide, or what was decided. `null` if the reader knows no such machine. */
  inbox(query: InboxQuery): MaybeAsync<InboxPage | null>;
  /** One request, if the reader may see its machine. */
  inboxItem(visible: readonly string[] | null, id: number): MaybeAsync<InboxItem | null>;
  /** One request of a computer, by the machine's own id of it. */
  askedItem(about: EventOrigin, request: string): MaybeAsync<InboxItem | null>;
  /** How many requests wait. */
  inboxCount(): MaybeAsync<number>;
  /** Decides a request. The caller has checked that `by` may decide for this machine. */
  decide(id: number, verdict: Verdict, by: Decider): MaybeAsync<DecisionResult | OperatorError>;

  /** Waits for a client's answer to a form; `null` if there is none in time (elicitation/forms.ts). */
  answerToForm(key: string, timeoutMs: number): MaybeAsync<ClientAnswer | null>;
  /** Passes on a client's answer to a form, or gives the form up. Answers `false` if no such form waits. */
  answerForm(key: string, answer: ClientAnswer | null): MaybeAsync<boolean>;

  /** Takes in a call with a key, and delivers it: at once, or when its machine is back. */
  send(request: Omit<DeliveryRequest, "identity">): MaybeAsync<DeliveryRecord | OperatorError>;
  delivery(scope: string, key: string): MaybeAsync<DeliveryRecord | null>;
  listDeliveries(scope: string, limit: number): MaybeAsync<DeliveryRecord[]>;
  /** Cancels a call that is not delivered yet. Answers what is known of it then, or `null` if there is none. */
  cancelDelivery(scope: string, key: string): MaybeAsync<{ record: DeliveryRecord; isCancelled: boolean } | null>;

  /** Sessions that the machines reported, newest first. No machine is asked. */
  listSessions(query: SessionListQuery): MaybeAsync<IndexedSessions>;
  /** One session, if the reader may see its machine. */
  session(visible: readonly string[] | null, machine: string, session: string): MaybeAsync<ListedSession | null>;
  /** One session of a computer. */
  sessionOf(about: EventOrigin, session: string): MaybeAsync<IndexedSession | null>;
  /** How many sessions run or wait on each machine that has such sessions, as far as its events said. */
  sessionLoad(): MaybeAsync<SessionLoad[]>;
  /** What sessions that were in use since a time had cost when their machines last told of them, per machine. */
  indexedCosts(sinceMs: number): MaybeAsync<IndexedCost[]>;
  /** The newest events of a session that have one of these types, oldest first. `before`: only those before this place in the log. */
  sessionTail(
    machine: string,
    session: string,
    types: readonly string[],
    before: number | null,
    limit: number,
  ): MaybeAsync<StoredEvent[]>;
  /** Takes in what a machine answered about its sessions. */
  learnSessions(machine: string, sessions: readonly Record<string, unknown>[]): MaybeAsync<void>;
  /**
   * Deletes a session's or a machine's events, here and in its script's own log, and what is known of its sessions. `former`: of the computers
   * that had the name before the machine which has it now.
   */
  forget(
    machine: string,
    session: string | null,
    former: boolean,
    by: Bearer | null,
  ): MaybeAsync<ForgetAnswer | OperatorError>;
  /** How many events are kept, and for how long. */
  retention(): MaybeAsync<Retention>;
  /** What a choice would delete, without making it. */
  retentionEffect(chosen: Retention): MaybeAsync<RetentionEffect>;
  /** Changes that, and deletes what is beyond it now. */
  retain(chosen: Retention, by: Bearer | null): MaybeAsync<OperatorError | null>;
  /** The position after the newest event of the merged log. */
  newestEvent(): MaybeAsync<LogPosition>;
  /** Reads events of the merged log, and waits for them if there are none yet. */
  pollEvents(query: EventQuery): MaybeAsync<EventsRead | EventsRefused>;

  /** Whether this user's webhooks need to be informed of new events (webhooks/webhooks.ts). */
  follow(isFollowed: boolean): MaybeAsync<void>;

  /** Creates an enrolment key (enrolment/enrolment.ts). */
  createEnrolmentKey(
    limits: KeyLimits,
    credential: Credential | null,
  ): MaybeAsync<{ key: string; record: ShownKey } | OperatorError>;
  enrolmentKeys(): MaybeAsync<ShownKey[]>;
  /** Revokes a key, and removes its machines if that is asked. Answers their names, or `null` if there is no such key. */
  revokeEnrolmentKey(id: string, andMachines: boolean): MaybeAsync<{ tag: string; removed: string[] } | null>;
  /** Registers a machine by an enrolment key. */
  enrol(key: string, request: EnrolRequest): MaybeAsync<Enrolled | OperatorError>;
  /** An enrolled machine ends. Answers `false` if there is none of this identity. */
  leave(identity: string): MaybeAsync<boolean>;

  /** Creates a personal access token. Answers an error if it is limited to a machine that does not exist, or is another one than its maker was shown. */
  createToken(label: string, limits: AskedLimits, maker: TokenMaker): MaybeAsync<MadeToken | OperatorError>;
  tokens(): MaybeAsync<TokenRecord[]>;
  /** What a token shows, by its id; `null` if it is not valid. */
  tokenSight(id: string): MaybeAsync<Sight | null>;
  /** Answers the token's label, or `null` if there is no such token. */
  revokeToken(id: string): MaybeAsync<string | null>;
  /** `counts`: whether a budget of the token counts this request. */
  authenticate(token: string, counts: boolean): MaybeAsync<TokenAnswer>;
  /** Revokes a grant, its tokens, and every personal access token that its app created. */
  endGrant(id: string): MaybeAsync<void>;
  /** An app was allowed again, which ends its former grant. What was made with that, or waits, belongs to the new one. */
  replaceGrant(former: string, id: string): MaybeAsync<void>;
  /**
   * Browsers were signed out, by their ids: nothing is written any more that they have asked for. `byAnother`: not by whoever sat there, so their
   * decisions that have not reached a machine are taken back, and the grants whose code no app has redeemed are revoked.
   */
  endBrowsers(ids: readonly string[], byAnother: boolean): MaybeAsync<void>;
  /** Revokes all tokens and grants, also those whose code nobody has redeemed yet. Machines and their links stay. */
  endAccess(): MaybeAsync<void>;
  /** Revokes the grants whose code nobody has redeemed yet. No list shows them. */
  endUnredeemedGrants(): MaybeAsync<void>;
  /** Redeems an authorization code or refresh token (sign-in/oauth/redemptions.ts). */
  redeem(asked: Redemption): MaybeAsync<RedemptionAnswer>;

  audit(entries: readonly AuditEntry[]): MaybeAsync<void>;
  auditPage(query: AuditQuery): MaybeAsync<AuditRecord[]>;
  /** Stores a notice for the person. */
  notify(notice: Notice): MaybeAsync<void>;
  /** The newest notices, newest first. */
  notices(limit: number): MaybeAsync<NoticeRecord[]>;
  /** First step of removing the user: refuses all their credentials from now on, and any new ones. */
  close(): MaybeAsync<void>;
  /** Second step: removes the machines of a closed user. Can be repeated. */
  removeAll(): MaybeAsync<void>;
  /** Tells open streams and long-polls of this user that a credential was revoked. */
  revoked(): MaybeAsync<void>;
  /** Settles with the next revocation, or after `timeoutMs`. */
  awaitRevocation(timeoutMs: number): MaybeAsync<void>;
}

export type UserBindings = {
  /** One Durable Object per user: the registry of their machines, their tokens and their audit log. */
  readonly USER: DurableObjectNamespace<UserRpc>;
};

/** The Durable Object of one user. */
export function registryOf(env: UserBindings, user: string) {
  return env.USER.getByName(user);
}
