import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import type { Denied } from "./denied.ts";
import type { DevicePoll, DeviceRequest } from "./devices.ts";
import type { Limit } from "./limits.ts";
import type { PasskeyRecord, Site } from "./passkeys.ts";
import type { Person } from "./people.ts";
import type { SessionRecord, Visit } from "./sessions.ts";

type MaybeAsync<Result> = Result | Promise<Result>;

/**
 * The result of a successful sign-in. `session` is the session's secret, for the browser's cookie. `isNewAddress`: the person has
 * signed in before, and never from this address.
 */
export type Entered = { session: string; person: Person; isNewAddress: boolean };

/** A signed-in browser: its person, its id in the list of browsers, and when the person last showed a password or passkey there. */
export type OpenSession = { person: Person; id: string; provedMs: number };

/** The RPC methods of the directory of people. A refusal is a return value, because RPC does not preserve the class of an error. */
export interface AccountsRpc extends Rpc.DurableObjectBranded {
  isClaimable(): MaybeAsync<boolean>;
  person(id: string): MaybeAsync<Person | null>;
  people(): MaybeAsync<(Person & { createdMs: number })[]>;
  /** Whether somebody has this id: a person here, or one of another sign-in. */
  isUser(id: string): MaybeAsync<boolean>;
  /** Another sign-in let in a user with this id. */
  vouchFor(id: string): MaybeAsync<void>;
  session(secret: string, visit: Visit): MaybeAsync<OpenSession | null>;
  sessions(person: string): MaybeAsync<SessionRecord[]>;
  /** Answers `false` if the person has no such session. */
  endSession(person: string, id: string): MaybeAsync<boolean>;
  endSessions(person: string): MaybeAsync<void>;

  signIn(name: string, password: string, visit: Visit): MaybeAsync<Entered | Denied>;
  signOut(secret: string): MaybeAsync<void>;
  enrol(code: string, name: string, password: string, visit: Visit): MaybeAsync<Entered | Denied>;
  enrolPasskey(code: string, name: string, site: Site, address: string): MaybeAsync<object | Denied>;
  enrolWithPasskey(response: RegistrationResponseJSON, site: Site, visit: Visit): MaybeAsync<Entered | Denied>;
  passkeyToSignIn(site: Site): MaybeAsync<object>;
  signInWithPasskey(response: AuthenticationResponseJSON, site: Site, visit: Visit): MaybeAsync<Entered | Denied>;
  /** The person of a session shows their password again. */
  confirm(secret: string, password: string, visit: Visit): MaybeAsync<Denied | null>;
  confirmWithPasskey(
    secret: string,
    response: AuthenticationResponseJSON,
    site: Site,
    visit: Visit,
  ): MaybeAsync<Denied | null>;

  passkeys(person: string): MaybeAsync<PasskeyRecord[]>;
  hasPassword(person: string): MaybeAsync<boolean>;
  passkeyToAdd(person: Person, site: Site): MaybeAsync<object>;
  /** `name`: what the list of passkeys calls it at first. */
  addPasskey(
    person: string,
    session: string,
    response: RegistrationResponseJSON,
    site: Site,
    name: string,
  ): MaybeAsync<boolean>;
  /** Answers `false` if the person has no such passkey. */
  renamePasskey(person: string, id: string, name: string): MaybeAsync<boolean>;
  removePasskey(person: string, id: string): MaybeAsync<boolean>;
  changePassword(
    person: string,
    old: string,
    password: string,
    session: string,
    address: string,
  ): MaybeAsync<Denied | null>;
  /** `session`: the id of the owner's browser. Answers `null` if it is not signed in any more. */
  invite(session: string): MaybeAsync<{ code: string; expiresMs: number } | null>;
  lockOut(id: string): MaybeAsync<void>;
  forget(id: string): MaybeAsync<string | null>;

  /**
   * Counts one attempt from an address, also for the network that it is in. Answers 0 if it is within the limit, otherwise the milliseconds to
   * wait.
   */
  takeFrom(name: string, address: string, limit: Limit): MaybeAsync<number>;
  /** Notes a client that registered. Answers the clients whose registrations must be deleted, because there are too many. */
  addClient(client: string, address: string): MaybeAsync<string[]>;
  /** A person allowed a client something, so it stays registered. */
  keepClient(client: string): MaybeAsync<void>;
  beginDevice(request: DeviceRequest): MaybeAsync<{ deviceCode: string; userCode: string }>;
  /** The open request behind a code, for a person who typed it. `null` if there is none. */
  askedByDevice(userCode: string, person: string): MaybeAsync<DeviceRequest | Denied | null>;
  /** `session`: the id of the person's browser. `null` if there is no such request, or the browser is not signed in any more. */
  decideDevice(
    userCode: string,
    person: string,
    session: string,
    allow: boolean,
  ): MaybeAsync<DeviceRequest | Denied | null>;
  pollDevice(
    deviceCode: string,
    clientId: string,
  ): MaybeAsync<{ error: DevicePoll } | { person: string; request: DeviceRequest }>;
  /** Whether a request that was handed out by `pollDevice` was not withdrawn since. */
  isRedeemingDevice(deviceCode: string): MaybeAsync<boolean>;
  giveBackDevice(deviceCode: string): MaybeAsync<void>;
}

export type AccountsBindings = {
  /** One Durable Object per Operator: the directory of people. */
  readonly ACCOUNTS: DurableObjectNamespace<AccountsRpc>;
};
