import { DurableObject } from "cloudflare:workers";
import type { AuthenticationResponseJSON, RegistrationResponseJSON } from "@simplewebauthn/server";
import type { Env } from "../../env.ts";
import { OWNER } from "../../http/caller.ts";
import type { AccountsRpc, Entered, OpenSession } from "./accounts-rpc.ts";
import { countedUnder, limitAt } from "../address.ts";
import { Challenges } from "./challenges.ts";
import type { Denied } from "./denied.ts";
import { type DevicePoll, type DeviceRequest, Devices } from "./devices.ts";
import { Enrolment } from "./enrolment.ts";
import { Invites, plainCode } from "./invites.ts";
import { KnownAddresses } from "./known-addresses.ts";
import { type Counted, type Limit, Limits } from "./limits.ts";
import { hashPassword, isAcceptable, isPassword } from "./password.ts";
import { PasswordTurns } from "./password-turns.ts";
import { MAX_PASSKEYS, Passkeys, type PasskeyRecord, type Site } from "./passkeys.ts";
import { People, type Person, personName } from "./people.ts";
import { type SessionRecord, Sessions, type Visit } from "./sessions.ts";
import { Settings } from "./settings.ts";
import { UnusedClients } from "./unused-clients.ts";

const MINUTE_MS = 60_000;

/** Password attempts for one name from one address: enough for someone who tries all their old passwords. */
const PASSWORD_HERE: Limit = { times: 8, windowMs: 15 * MINUTE_MS };
/**
 * Password attempts for one name from all addresses together, against guessing from many computers. 300 a day is about 110,000
 * a year, far too few to find a random password of ten letters.
 */
const PASSWORD_ANYWHERE: Limit = { times: 300, windowMs: 24 * 60 * MINUTE_MS };
/**
 * Sign-in attempts from one address for any names: stops trying one common password with many names. The network around it has ten times
 * as many, or each of its addresses would have its own: an IPv6 /32 has 2^32 of them, and each count is a row.
 */
const SIGN_IN_HERE: Limit = { times: 40, windowMs: 15 * MINUTE_MS };

/** Wrong codes of computers that one person may type: enough for mistakes, far too few to guess somebody else's (RFC 8628 section 5.1). */
const USER_CODES: Limit = { times: 10, windowMs: 10 * MINUTE_MS };

/**
 * The directory of people, one object for the whole Operator: names, credentials and browser sessions. Calls with a token are
 * never checked here, so this one object does not limit their rate.
 */
export class Accounts extends DurableObject<Env> implements AccountsRpc {
  readonly #sql = this.ctx.storage.sql;
  readonly #people = new People(this.#sql);
  readonly #sessions = new Sessions(this.#sql);
  readonly #invites = new Invites(this.#sql);
  readonly #limits = new Limits(this.#sql);
  readonly #devices = new Devices(this.#sql);
  readonly #addresses = new KnownAddresses(this.#sql);
  readonly #unusedClients = new UnusedClients(this.#sql);
  readonly #turns = new PasswordTurns();
  readonly #passkeys = new Passkeys(this.#sql, new Challenges(this.#sql));
  readonly #enrolment = new Enrolment(
    this.env.CLAIM_CODE ?? "",
    this.#people,
    this.#invites,
    this.#limits,
    new Settings(this.#sql),
    async () => {
      this.#passkeys.deleteAll(OWNER);
      await this.#tellEnded(OWNER, this.#sessions.endAll(OWNER, null));
    },
    async () => {
      this.#devices.deleteAll(OWNER);
      this.#invites.deleteAll();
      this.#addresses.deleteAll(OWNER);
      await this.env.USER.getByName(OWNER).endAccess();
      await this.env.WEBHOOKS.getByName(OWNER).removeOwn();
    },
  );

  /** Whether the claim code can be used: there is no owner yet, or the code is a new one (see README.md, "Lost credentials"). */
  isClaimable(): Promise<boolean> {
    return this.#enrolment.isClaimable();
  }

  person(id: string): Person | null {
    return this.#people.get(id);
  }

  people(): (Person & { createdMs: number })[] {
    return this.#people.list();
  }

  isUser(id: string): boolean {
    return this.#people.get(id) !== null || this.#people.isGuest(id);
  }

  vouchFor(id: string): void {
    this.#people.addGuest(id, Date.now());
  }

  async session(secret: string, visit: Visit): Promise<OpenSession | null> {
    const found = await this.#sessions.find(secret, visit, Date.now());
    const person = found === null ? null : this.#people.get(found.person);
    return found === null || person === null ? null : { person, id: found.id, provedMs: found.provedMs };
  }

  sessions(person: string): SessionRecord[] {
    return this.#sessions.list(person, Date.now());
  }

  async endSession(person: string, id: string): Promise<boolean> {
    const hasEnded = this.#sessions.endOne(person, id);
    if (hasEnded) await this.#tellEnded(person, [id]);
    return hasEnded;
  }

  async endSessions(person: string): Promise<void> {
    await this.#tellEnded(person, this.#sessions.endAll(person, null));
  }

  /**
   * The person's object then writes nothing more that these browsers have asked for, and ends their open pages. What they allowed and nobody has
   * collected is withdrawn here and there, unless whoever sat there signed out.
   */
  async #tellEnded(person: string, sessions: readonly string[], byAnother = true): Promise<void> {
    if (byAnother) this.#devices.deleteAll(person);
    if (byAnother || sessions.length > 0) await this.env.USER.getByName(person).endBrowsers(sessions, byAnother);
  }

  /** Every attempt is counted before the password is checked: attempts sent in parallel would otherwise all pass the limit. */
  async signIn(name: string, password: string, visit: Visit): Promise<Entered | Denied> {
    const { address } = visit;
    const nowMs = Date.now();
    const known = personName(name)?.toLowerCase() ?? "";
    const here = `password-at:${address}:${known}`;
    const found = this.#people.named(known);
    // Where the person has signed in before, strangers cannot use up the attempts: only those made there count.
    const isKnown = found !== null && this.#addresses.has(found.person.id, address);
    const signIns = countedUnder("sign-in", address, SIGN_IN_HERE);
    const shared: Counted[] = isKnown ? [] : [...signIns.slice(1), [`password:${known}`, PASSWORD_ANYWHERE]];
    const own: Counted[] = [...signIns.slice(0, 1), [here, limitAt(address, PASSWORD_HERE)]];
    const slow = this.#slow([...own, ...shared], nowMs);
    if (slow !== null) return slow;
    const check = (): Promise<boolean> => isPassword(password, found?.password ?? null);
    const isRight = await (isKnown ? this.#turns.known(check, address) : this.#turns.stranger(check, address));
    if (isRight === null) return { denied: "slow_down", afterMs: MINUTE_MS };
    if (!isRight || found === null) return { denied: "wrong" };
    this.#limits.clear(here);
    for (const [key] of shared) this.#limits.giveBack(key);
    const entered = await this.#enter(found.person, visit);
    // A change of the password ends all sessions, and must end the one that was being opened with the former password, too.
    if (this.#people.passwordOf(found.person.id) === found.password) return entered;
    await this.signOut(entered.session);
    return { denied: "wrong" };
  }

  async signOut(secret: string): Promise<void> {
    const ended = await this.#sessions.end(secret);
    if (ended !== null) await this.#tellEnded(ended.person, [ended.id], false);
  }

  /** Opens an account with a claim code or an invitation, and a password. */
  async enrol(code: string, name: string, password: string, visit: Visit): Promise<Entered | Denied> {
    const enrolment = await this.#enrolment.personFor(code, name, visit.address, Date.now());
    if ("denied" in enrolment) return enrolment;
    if (!isAcceptable(password)) return { denied: "password_weak" };
    const hash = await this.#turns.known(() => hashPassword(password), visit.address);
    return this.#open(enrolment, hash, code, visit);
  }

  /**
   * First step of opening an account with a passkey: the options with which the browser creates it. The code is kept with the
   * challenge as its context, so the second step uses the code that was checked here and the browser cannot replace it.
   */
  async enrolPasskey(code: string, name: string, site: Site, address: string): Promise<object | Denied> {
    const enrolment = await this.#enrolment.personFor(code, name, address, Date.now());
    if ("denied" in enrolment) return enrolment;
    return this.#passkeys.creationOptions(enrolment, site, plainCode(code), Date.now());
  }

  /**
   * Second step: verifies the new passkey and opens the account. An empty context belongs to a passkey that a signed-in person
   * adds (`passkeyToAdd`); it must not open an account.
   */
  async enrolWithPasskey(response: RegistrationResponseJSON, site: Site, visit: Visit): Promise<Entered | Denied> {
    const made = await this.#passkeys.verifyNew(response, site, Date.now());
    if (made === null || made.context === "") return { denied: "wrong" };
    const entered = await this.#open(made.person, null, made.context, visit);
    if (!("denied" in entered)) made.keep(visit.browser);
    return entered;
  }

  passkeyToSignIn(site: Site): Promise<object> {
    return this.#passkeys.requestOptions(site, Date.now());
  }

  async signInWithPasskey(response: AuthenticationResponseJSON, site: Site, visit: Visit): Promise<Entered | Denied> {
    const counted = countedUnder("passkey-sign-in", visit.address, SIGN_IN_HERE);
    const slow = this.#slow(counted, Date.now());
    if (slow !== null) return slow;
    const id = await this.#passkeys.verify(response, site, Date.now());
    const person = id === null ? null : this.#people.get(id);
    if (person !== null) for (const [key] of counted) this.#limits.giveBack(key);
    return person === null ? { denied: "wrong" } : this.#enter(person, visit);
  }

  /** The person of a session shows their password again. Wrong ones count like those of a sign-in, but apart from them. */
  async confirm(secret: string, password: string, visit: Visit): Promise<Denied | null> {
    const session = await this.session(secret, visit);
    if (session === null) return { denied: "wrong" };
    const { id } = session.person;
    const anywhere = `person:${id}`;
    const slow = this.#slow([provedAt(visit.address, id), [anywhere, PASSWORD_ANYWHERE]], Date.now());
    if (slow !== null) return slow;
    const check = (): Promise<boolean> => isPassword(password, this.#people.passwordOf(id));
    if (!(await this.#turns.known(check, visit.address))) return { denied: "wrong" };
    this.#limits.giveBack(anywhere);
    this.#sessions.prove(id, session.id, Date.now());
    return null;
  }

  /** The same with a passkey. It must be one of the session's own person: anybody else at this browser has passkeys, too. */
  async confirmWithPasskey(
    secret: string,
    response: AuthenticationResponseJSON,
    site: Site,
    visit: Visit,
  ): Promise<Denied | null> {
    const session = await this.session(secret, visit);
    if (session === null) return { denied: "wrong" };
    // Not by address: strangers who share it, or the network around it, must not be able to use this up.
    const tried = `passkey-proof:${session.id}`;
    const slow = this.#slow([[tried, SIGN_IN_HERE]], Date.now());
    if (slow !== null) return slow;
    const id = await this.#passkeys.verify(response, site, Date.now());
    if (id !== session.person.id) return { denied: "wrong" };
    this.#limits.giveBack(tried);
    this.#sessions.prove(id, session.id, Date.now());
    return null;
  }

  passkeys(person: string): PasskeyRecord[] {
    return this.#passkeys.of(person);
  }

  hasPassword(person: string): boolean {
    return this.#people.passwordOf(person) !== null;
  }

  passkeyToAdd(person: Person, site: Site): Promise<object> {
    return this.#passkeys.creationOptions(person, site, "", Date.now());
  }

  /**
   * Adds a passkey to an account, unless it has `MAX_PASSKEYS`. The challenge must have been issued to the same person, and not for opening
   * an account, and `session` must still be signed in.
   */
  async addPasskey(
    person: string,
    session: string,
    response: RegistrationResponseJSON,
    site: Site,
    name: string,
  ): Promise<boolean> {
    const made = await this.#passkeys.verifyNew(response, site, Date.now());
    if (made === null || made.context !== "" || made.person.id !== person) return false;
    if (this.#people.get(person) === null) return false; // is being removed
    if (!this.#sessions.isOpen(person, session)) return false; // was signed out while the passkey was verified
    if (this.#passkeys.of(person).length >= MAX_PASSKEYS) return false;
    made.keep(name);
    return true;
  }

  renamePasskey(person: string, id: string, name: string): boolean {
    return this.#passkeys.rename(person, id, name);
  }

  /** Removes a passkey. Answers `false` if it is the person's only credential, since they could not sign in again. */
  removePasskey(person: string, id: string): boolean {
    const isLast = this.#passkeys.of(person).length === 1 && !this.hasPassword(person);
    return !isLast && this.#passkeys.delete(person, id);
  }

  /**
   * Changes a password and signs out all other browsers. The old password is required if there is one, so that someone who finds
   * a browser signed in cannot take over the account. `session`: the id of the browser, which must still be signed in then.
   */
  async changePassword(
    person: string,
    old: string,
    password: string,
    session: string,
    address: string,
  ): Promise<Denied | null> {
    const slow = this.#slow([provedAt(address, person)], Date.now());
    if (slow !== null) return slow;
    const known = this.#people.passwordOf(person);
    if (known !== null && !(await this.#turns.known(() => isPassword(old, known), address))) return { denied: "wrong" };
    if (!isAcceptable(password)) return { denied: "password_weak" };
    const hash = await this.#turns.known(() => hashPassword(password), address);
    // Of two changes at once the first one counts: the other's old password is not the password any more. Who is being removed has none, and
    // gets none.
    if (this.#people.passwordOf(person) !== known || this.#people.get(person) === null) return { denied: "wrong" };
    if (!this.#sessions.isOpen(person, session)) return { denied: "wrong" };
    this.#people.setPassword(person, hash);
    const ended = this.#sessions.endAll(person, session);
    if (known !== null) this.#sessions.prove(person, session, Date.now());
    await this.#tellEnded(person, ended);
    return null;
  }

  /** `session`: the owner's browser, by its id. `null` if it was signed out meanwhile. */
  invite(session: string): Promise<{ code: string; expiresMs: number } | null> {
    return this.#invites.create(Date.now(), () => this.#sessions.isOpen(OWNER, session));
  }

  /** Deletes all credentials of a person, and lets them have no others: password, passkeys, browser sessions, device codes. Throws for the owner. */
  async lockOut(id: string): Promise<void> {
    if (id === OWNER) throw new Error("the owner cannot be removed");
    this.#people.lock(id);
    this.#passkeys.deleteAll(id);
    this.#devices.deleteAll(id);
    this.#addresses.deleteAll(id);
    await this.#tellEnded(id, this.#sessions.endAll(id, null));
  }

  /**
   * Deletes a person, and answers their name, or `null` if there was none. Credentials are deleted again, because some may have been on their way
   * when the person was locked out.
   */
  async forget(id: string): Promise<string | null> {
    await this.lockOut(id);
    return this.#people.delete(id);
  }

  /** Counts one attempt from an address, also for the network that it is in. Answers 0 if it is within the limit, otherwise the milliseconds to wait. */
  takeFrom(name: string, address: string, limit: Limit): number {
    return this.#limits.takeAll(countedUnder(name, address, limit), Date.now());
  }

  addClient(client: string, address: string): string[] {
    return this.#unusedClients.add(client, address, Date.now());
  }

  keepClient(client: string): void {
    this.#unusedClients.keep(client);
  }

  beginDevice(request: DeviceRequest): Promise<{ deviceCode: string; userCode: string }> {
    return this.#devices.begin(request, Date.now());
  }

  askedByDevice(userCode: string, person: string): Promise<DeviceRequest | Denied | null> {
    return this.#tryUserCode(person, () => this.#devices.asked(userCode, Date.now()));
  }

  decideDevice(
    userCode: string,
    person: string,
    session: string,
    allow: boolean,
  ): Promise<DeviceRequest | Denied | null> {
    const isSignedIn = (): boolean => this.#sessions.isOpen(person, session);
    return this.#tryUserCode(person, () => this.#devices.decide(userCode, person, allow, isSignedIn, Date.now()));
  }

  pollDevice(
    deviceCode: string,
    clientId: string,
  ): Promise<{ error: DevicePoll } | { person: string; request: DeviceRequest }> {
    return this.#devices.poll(deviceCode, clientId, Date.now());
  }

  isRedeemingDevice(deviceCode: string): Promise<boolean> {
    return this.#devices.isRedeeming(deviceCode);
  }

  giveBackDevice(deviceCode: string): Promise<void> {
    return this.#devices.giveBack(deviceCode);
  }

  async #open(person: Person, password: string | null, code: string, visit: Visit): Promise<Entered | Denied> {
    const denied = await this.#enrolment.open(person, password, code, Date.now());
    return denied ?? this.#enter(person, visit);
  }

  async #enter(person: Person, visit: Visit): Promise<Entered> {
    const nowMs = Date.now();
    const isNewAddress = this.#addresses.note(person.id, visit.address, nowMs);
    return { session: await this.#sessions.begin(person.id, visit, nowMs), person, isNewAddress };
  }

  /**
   * Finds the request behind a code that somebody types, to look at it or to decide on it: either tells whether it is a code. One that is
   * none counts, and before it is looked for, since attempts sent in parallel would otherwise all pass the limit.
   */
  async #tryUserCode(
    person: string,
    find: () => Promise<DeviceRequest | null>,
  ): Promise<DeviceRequest | Denied | null> {
    const key = `pair:${person}`;
    const slow = this.#slow([[key, USER_CODES]], Date.now());
    if (slow !== null) return slow;
    const found = await find();
    if (found !== null) this.#limits.giveBack(key);
    return found;
  }

  #slow(counted: readonly Counted[], nowMs: number): Denied | null {
    const afterMs = this.#limits.takeAll(counted, nowMs);
    return afterMs > 0 ? { denied: "slow_down", afterMs } : null;
  }
}

/**
 * What attempts of somebody who is signed in are counted under. Those to sign in are counted by name, and anybody may try a name that reads like
 * another person's id, which of the owner is "owner", or like a name with an address. So each kind of count has a word of its own in front.
 */
function provedAt(address: string, person: string): Counted {
  return [`person-at:${address}:${person}`, limitAt(address, PASSWORD_HERE)];
}
