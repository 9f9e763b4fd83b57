import type { OperatorError } from "#protocol/error.ts";
import type { LogPosition } from "#protocol/event.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import type { Presence, ReportedPresence } from "#protocol/script-api.ts";
import type { AuditEntry, AuditRecord } from "../audit/entry.ts";
import type { AuditQuery } from "../audit/log.ts";
import type { Caller } from "../http/caller.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import type { Redemption, RedemptionAnswer } from "../sign-in/oauth/redemption.ts";
import type { MadeToken, TokenLimits, TokenMaker, TokenRecord } from "./tokens.ts";

type MaybeAsync<Result> = Result | Promise<Result>;

/** A machine after registration. `token` only when one was made. */
export type Registered = { machine: MachineRecord; created: boolean; token: string | null };

/**
 * What the rest of the control API asks of a user's object, by RPC. Callers depend on this and not on the class, which
 * depends on nearly everything. Changes to the registry answer an `OperatorError` and do not throw it: RPC loses an error's class.
 */
export interface UserRpc extends Rpc.DurableObjectBranded {
  machines(): MaybeAsync<MachineRecord[]>;
  machine(name: string): MaybeAsync<MachineRecord | null>;
  register(request: RegisterRequest): MaybeAsync<Registered | OperatorError>;
  rotate(name: string): MaybeAsync<Registered | OperatorError>;
  remove(name: string): MaybeAsync<OperatorError | null>;
  rename(from: string, to: string): MaybeAsync<MachineRecord | OperatorError>;
  upgrade(name: string): MaybeAsync<boolean | OperatorError>;
  /** A machine script reports what changed. Answers whether its next report must have its facts. */
  record(slug: string, presence: ReportedPresence): MaybeAsync<boolean>;
  /** What a script answered when it was asked. Unlike a report this is not the moment to upgrade it: calls may be under way. */
  correct(slug: string, state: Presence): MaybeAsync<void>;
  /** A machine's script did not answer: it is shown as offline, and asked again until it answers. */
  doubt(name: string): MaybeAsync<void>;

  positions(names: readonly string[] | null): MaybeAsync<Record<string, LogPosition | null>>;
  awaitNews(known: Record<string, LogPosition>, names: readonly string[] | null, timeoutMs: number): MaybeAsync<void>;

  /** A token for machines that there are. */
  createToken(label: string, limits: TokenLimits, maker: TokenMaker): MaybeAsync<MadeToken | OperatorError>;
  tokens(): MaybeAsync<TokenRecord[]>;
  /** Answers the token's label, or `null` when there is no such token. */
  revokeToken(id: string): MaybeAsync<string | null>;
  authenticate(token: string): MaybeAsync<Caller | null>;
  /** Ends a grant, with every token that its app made. */
  endGrant(id: string): MaybeAsync<void>;
  redeem(asked: Redemption): MaybeAsync<RedemptionAnswer>;

  audit(entries: readonly AuditEntry[]): MaybeAsync<void>;
  auditPage(query: AuditQuery): MaybeAsync<AuditRecord[]>;
  /** The user is being removed: nothing of theirs opens anything from here on, and nothing new can be made. */
  close(): MaybeAsync<void>;
  /** Removes the machines of a user who was closed. */
  removeAll(): MaybeAsync<void>;
  /** Something that this user was let in with is no good any more. */
  revoked(): MaybeAsync<void>;
  awaitRevocation(timeoutMs: number): MaybeAsync<void>;
}

export type UserBindings = {
  /** One object per user: the registry of that user's machines, their tokens and audit log. */
  readonly USER: DurableObjectNamespace<UserRpc>;
};

/** The object of one user. */
export function registryOf(env: UserBindings, user: string) {
  return env.USER.getByName(user);
}
