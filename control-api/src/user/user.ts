import { Agent } from "agents";
import { CloseCode } from "#protocol/close-code.ts";
import type { OperatorError } from "#protocol/error.ts";
import type { LogPosition } from "#protocol/event.ts";
import type { RegisterRequest } from "#protocol/rest-api.ts";
import { type Presence, type ReportedPresence, ScriptPath } from "#protocol/script-api.ts";
import { isMachineName, slugOf } from "#protocol/slug.ts";
import type { AuditEntry, AuditRecord } from "../audit/entry.ts";
import { AuditLog, type AuditQuery } from "../audit/log.ts";
import { type Caller, tagOf } from "../http/caller.ts";
import type { Env } from "../env.ts";
import type { MachineRecord } from "../machines/machine-record.ts";
import { askMachine, postToMachine } from "../machines/script-client.ts";
import { machineState } from "../machines/machine-state.ts";
import { machineInNamespace, machinesInNamespace } from "../machines/namespace-scripts.ts";
import { deleteScript, TEMPLATE, uploadScript } from "../machines/provisioning.ts";
import type { Redemption, RedemptionAnswer } from "../sign-in/oauth/redemption.ts";
import { Redemptions } from "../sign-in/oauth/redemptions.ts";
import { SpentTokens } from "../sign-in/oauth/spent-tokens.ts";
import { oauthApi } from "../sign-in/oauth/authorization-server.ts";
import { hashOf, makeLinkToken } from "../sign-in/access-token.ts";
import { Closure } from "./closure.ts";
import { isNewer, News } from "./news.ts";
import { Registry } from "./registry.ts";
import type { Registered, UserRpc } from "./user-rpc.ts";
import { type MadeToken, type TokenLimits, type TokenMaker, type TokenRecord, Tokens } from "./tokens.ts";

/** A machine's script is upgraded by itself at most so often, so that two versions of Operator cannot wear each other out. */
const UPGRADE_AGAIN_MS = 10 * 60_000;

/** A script answers a close at once; one that does not in this time has no link that could go on. */
const CLOSE_TIMEOUT_MS = 5_000;

/** The largest log is some 20 MB; to read and write it takes seconds. */
const MOVE_TIMEOUT_MS = 60_000;

/** A script that did not answer is asked again after so many seconds, then after twice as long each time. */
const DOUBT_AGAIN_S = 15;

/** And so often: over more than an hour. By then its own report is due, if it lives. */
const DOUBT_TIMES = 8;

type Doubt = { name: string; asked: number };

/** Where the start of the platform is kept that the registry last saw. */
const START_KEY = "platform-start";

/** Set while the registry still has to be compared with the namespace: this object's database is new, or was lost. */
const REBUILD_KEY = "registry-to-rebuild";

/** Revocations are about no machine in particular. */
const ANY = "";

/** One user: the registry of their machines, and their tokens. */
export class User extends Agent<Env> implements UserRpc {
  readonly #registry = new Registry(this.ctx.storage.sql);
  readonly #tokens = new Tokens(this.ctx.storage.sql, () => this.#id, {
    identityOf: (name) => this.#registry.get(name)?.identity ?? null,
    nameOf: (identity) => this.#registry.nameOf(identity),
  });
  readonly #closure = new Closure(this.ctx.storage.sql);
  readonly #audit = new AuditLog(this.ctx.storage.sql);
  readonly #redemptions = new Redemptions(this.env, new SpentTokens(this.ctx.storage.sql), (grant) =>
    this.endGrant(grant),
  );
  readonly #news = new News();
  /** Rings when something of this user's was revoked. */
  readonly #revocations = new News();
  readonly #upgradedMs = new Map<string, number>();
  #changing: Promise<unknown> = Promise.resolve();

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    if (this.#registry.isNew) ctx.storage.kv.put(REBUILD_KEY, true);
    if (ctx.storage.kv.get(REBUILD_KEY) === true) void ctx.blockConcurrencyWhile(() => this.#rebuild());
    // On one computer the scripts are started with everything else: no link of an earlier start is still there.
    const { PLATFORM_START: start } = env;
    if (start === undefined || ctx.storage.kv.get(START_KEY) === start) return;
    this.#registry.doubtAll();
    ctx.storage.kv.put(START_KEY, start);
  }

  get #id(): string {
    return this.name;
  }

  machines(): MachineRecord[] {
    return this.#registry.list();
  }

  machine(name: string): MachineRecord | null {
    return this.#registry.get(name);
  }

  // The methods that change the registry answer an `OperatorError` and do not throw it: RPC loses an error's class.

  /** Adds a machine, or gives a known one its name back; repairs its script either way. */
  register(request: RegisterRequest): Promise<Registered | OperatorError> {
    return this.#inTurn(async () => {
      this.#closure.check();
      if (!isMachineName(request.name)) return nameInvalid(request.name);
      const known = this.#registry.get(request.name);
      // A rebuilt registry may not know which computer the machine is; the first that asks as its owner says it.
      if (known?.identity === "") this.#registry.identify(request.name, request.identity);
      const isSame = known?.identity === request.identity || known?.identity === "";
      if (known !== null && !isSame && request.replace !== true) return { code: "name_taken", name: request.name };
      const needsToken = known === null || !isSame || request.rotate === true;
      if (!needsToken && (await this.#isInPlace(known))) return { machine: known, created: false, token: null };
      return this.#write(request.name, request.identity, known, needsToken);
    });
  }

  /** A new link token. The old one is dead at once, and the link that used it closed. */
  rotate(name: string): Promise<Registered | OperatorError> {
    return this.#inTurn(async () => {
      const known = this.#registry.get(name);
      return known === null
        ? { code: "machine_unknown", machine: name }
        : this.#write(name, known.identity, known, true);
    });
  }

  /** Removes a machine: its link is closed, its script and log deleted. */
  remove(name: string): Promise<OperatorError | null> {
    return this.#inTurn(async () => {
      const known = this.#registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      await this.#closeLink(name, CloseCode.REVOKED, "the machine was removed");
      await deleteScript(this.env, known.slug);
      this.#registry.delete(name);
      this.#news.announce(name);
      return null;
    });
  }

  /** Gives a machine another name: a script of that name with the same token and log, then an end to the old one. */
  rename(from: string, to: string): Promise<MachineRecord | OperatorError> {
    return this.#inTurn(async () => {
      const known = this.#registry.get(from);
      if (known === null) return { code: "machine_unknown", machine: from };
      if (!isMachineName(to)) return nameInvalid(to);
      if (from === to) return known;
      if (this.#registry.get(to) !== null) return { code: "name_taken", name: to };
      if (known.linkTokenHash === null) {
        const reason = `the list of machines was rebuilt, and "${from}" needs a new token before it can be renamed: run \`codez rotate ${from}\` on it.`;
        return { code: "invalid_request", reason };
      }
      const slug = slugOf(to, await tagOf(this.#id));
      const { identity, linkTokenHash } = known;
      await uploadScript(this.env, { slug, name: to, owner: this.#id, identity, linkTokenHash });
      try {
        await this.#moveLog(from, to);
      } catch (failure) {
        console.error("a machine keeps its name, since its log could not be moved", {
          from,
          to,
          failure: String(failure),
        });
        await deleteScript(this.env, slug);
        const reason = `it keeps its name, since its event log could not be moved to "${to}": ${String(failure)}`;
        return { code: "machine_failed", machine: from, reason };
      }
      this.#registry.rename(from, { name: to, slug, template: TEMPLATE });
      await this.#closeLink(from, CloseCode.RENAMED, to);
      await deleteScript(this.env, known.slug);
      this.#news.announce(from);
      return this.#registry.get(to) ?? { code: "machine_unknown", machine: to };
    });
  }

  /** Uploads the current template to a machine that has another. Answers whether it did. */
  upgrade(name: string): Promise<boolean | OperatorError> {
    return this.#inTurn(async () => {
      const known = this.#registry.get(name);
      if (known === null) return { code: "machine_unknown", machine: name };
      if (known.template === TEMPLATE) return false;
      await this.#write(name, known.identity, known, false);
      return true;
    });
  }

  /** A machine script reports what changed. Answers whether its next report must have its facts. */
  record(slug: string, presence: ReportedPresence): boolean {
    const recorded = this.#registry.record(slug, presence, Date.now());
    if (recorded === null) {
      if (!this.#registry.hasSlug(slug)) this.#adoptSoon(slug, presence);
      return false;
    }
    this.#news.announce(recorded.name);
    if (recorded.hasJustDialled && presence.template !== TEMPLATE) this.#upgradeSoon(recorded.name);
    return recorded.wantsFacts;
  }

  /** What a script answered when it was asked. Unlike a report this is not the moment to upgrade it: calls may be under way. */
  correct(slug: string, state: Presence): void {
    const recorded = this.#registry.record(slug, state, Date.now());
    if (recorded !== null) this.#news.announce(recorded.name);
  }

  /**
   * A machine's script did not answer, so that nobody reaches the machine, whatever it reported last. A script that only
   * hung for a while does not know that it was doubted and reports nothing by itself: it is asked again until it answers.
   */
  async doubt(name: string): Promise<void> {
    if (!this.#registry.doubt(name)) return;
    this.#news.announce(name);
    await this.schedule(DOUBT_AGAIN_S, "recheck", { name, asked: 1 } satisfies Doubt);
  }

  /** Schedule: ask a script that was found not to answer. */
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

  /** Where the log of each machine ends, as last reported. `names`: only of these. */
  positions(names: readonly string[] | null): Record<string, LogPosition | null> {
    const machines = this.#registry.list().filter(({ name }) => names === null || names.includes(name));
    return Object.fromEntries(machines.map(({ name, position }) => [name, position]));
  }

  /** Settles when a machine's log goes on after `known`, or after `timeoutMs`. */
  async awaitNews(
    known: Record<string, LogPosition>,
    names: readonly string[] | null,
    timeoutMs: number,
  ): Promise<void> {
    const positions = this.positions(names);
    if (Object.keys(positions).some((name) => isNewer(positions[name] ?? null, known[name]))) return;
    await this.#news.wait((name) => names === null || names.includes(name), timeoutMs);
  }

  async createToken(label: string, limits: TokenLimits, maker: TokenMaker): Promise<MadeToken | OperatorError> {
    this.#closure.check();
    const unknown = limits.machines?.find((name) => this.#registry.get(name) === null);
    if (unknown !== undefined) return { code: "machine_unknown", machine: unknown };
    return this.#tokens.create(label, limits, maker);
  }

  tokens(): TokenRecord[] {
    return this.#tokens.list();
  }

  revokeToken(id: string): string | null {
    const label = this.#tokens.revoke(id);
    if (label !== null) this.revoked();
    return label;
  }

  /** Ends a grant that was taken back or stolen: its own tokens, and those that its app made for later. */
  async endGrant(id: string): Promise<void> {
    this.#tokens.revokeMadeWith(`grant:${id}`);
    await oauthApi(this.env).revokeGrant(id, this.#id);
    this.revoked();
  }

  async authenticate(token: string): Promise<Caller | null> {
    if (this.#closure.isClosed) return null;
    return this.#tokens.authenticate(token);
  }

  /** The user is being removed: from here on nothing of theirs opens anything, and nothing new can be made. For good. */
  close(): void {
    this.#closure.close(Date.now());
    this.#tokens.revokeAll();
    this.revoked();
  }

  /** Something that this user signs in with was revoked, so every open stream checks again whether it may continue. */
  revoked(): void {
    this.#revocations.announce(ANY);
  }

  /** Settles with the next revocation, or after `timeoutMs`. */
  awaitRevocation(timeoutMs: number): Promise<void> {
    return this.#revocations.wait(() => true, timeoutMs);
  }

  /** Removes every machine of a user who was closed. May be repeated. */
  async removeAll(): Promise<void> {
    for (;;) {
      const [machine] = this.#registry.list();
      if (machine === undefined) return;
      await this.remove(machine.name);
    }
  }

  /** Redeems a code or a refresh token of this user's (sign-in/oauth/redemptions.ts). */
  redeem(asked: Redemption): Promise<RedemptionAnswer> {
    return this.#redemptions.run(asked);
  }

  audit(entries: readonly AuditEntry[]): void {
    this.#audit.add(entries, Date.now());
  }

  auditPage(query: AuditQuery): AuditRecord[] {
    return this.#audit.read(query);
  }

  /**
   * Fills the registry of a new object from the dispatch namespace. For a new user that finds nothing; for one whose
   * database was lost it brings back every machine, with its link and its token as they were. What was removed has no
   * script any more, so it stays removed. Access tokens, which are nowhere else, are lost and have to be made anew.
   */
  async #rebuild(): Promise<void> {
    try {
      const found = await machinesInNamespace(this.env, this.#id);
      for (const machine of found) this.#registry.adopt(machine);
      if (found.length > 0)
        console.warn("a registry was lost and was rebuilt from the dispatch namespace", { machines: found.length });
      this.ctx.storage.kv.delete(REBUILD_KEY);
    } catch (reason) {
      // Without the API no machine can be added or removed either. The next start of this object tries again.
      console.error("a new registry could not be compared with the dispatch namespace", { reason: String(reason) });
    }
  }

  /** A script that proves to be this user's reports, and the registry does not know it: it was restored from an old copy. */
  #adoptSoon(slug: string, presence: ReportedPresence): void {
    const adopted = this.#inTurn(async () => {
      // In its turn, after any removal that is under way: a script that was removed has only reports left.
      const machine = await machineInNamespace(this.env, this.#id, slug);
      if (machine === null || this.#closure.isClosed || !this.#registry.adopt(machine)) return;
      console.warn("a machine that the registry had lost was found by its report", { machine: machine.name });
      this.record(slug, presence);
    });
    this.ctx.waitUntil(
      adopted.catch((reason: unknown) =>
        console.error("a report of an unknown machine could not be looked into", { slug, reason: String(reason) }),
      ),
    );
  }

  async #write(name: string, identity: string, known: MachineRecord | null, needsToken: boolean): Promise<Registered> {
    const token = needsToken ? makeLinkToken() : null;
    const linkTokenHash = token === null ? (known?.linkTokenHash ?? null) : await hashOf(token);
    const slug = slugOf(name, await tagOf(this.#id));
    // An upload ends the script that runs, and its calls with nobody left to answer them: they are to be told before.
    if (known !== null && needsToken) await this.#closeLink(name, CloseCode.REVOKED, "the machine's token was rotated");
    else if (known !== null)
      await this.#closeLink(name, CloseCode.RESTARTING, "the machine's script is being replaced");
    await uploadScript(this.env, { slug, name, owner: this.#id, identity, linkTokenHash });
    this.#registry.put({ name, slug, identity, linkTokenHash, template: TEMPLATE });
    const machine = this.#registry.get(name);
    if (machine === null) throw new Error("a machine that was just written is gone");
    return { machine, created: known === null, token };
  }

  /** The moment a machine dials in is the one at which a new script, which drops the link, breaks no call. */
  #upgradeSoon(name: string): void {
    const now = Date.now();
    if (now - (this.#upgradedMs.get(name) ?? 0) < UPGRADE_AGAIN_MS) return;
    this.#upgradedMs.set(name, now);
    const upgrade = this.upgrade(name).catch((reason: unknown) =>
      console.error("a machine's script could not be upgraded", { name, reason: String(reason) }),
    );
    this.ctx.waitUntil(upgrade);
  }

  /** Whether a machine's script is there and up to date: to upload it again would only drop its link, and calls with it. */
  async #isInPlace({ name }: MachineRecord): Promise<boolean> {
    try {
      const { template } = await machineState(this.env, this.#id, name);
      return template === TEMPLATE;
    } catch (reason) {
      console.warn("a machine's script does not answer and is uploaded again", {
        machine: name,
        reason: String(reason),
      });
      return false;
    }
  }

  /** Tells a link to close. A script that cannot be asked has no link that could go on. */
  async #closeLink(name: string, code: CloseCode, reason: string): Promise<void> {
    try {
      const signal = AbortSignal.timeout(CLOSE_TIMEOUT_MS);
      const response = await postToMachine(this.env, this.#id, name, ScriptPath.CLOSE, { code, reason }, signal);
      await response.body?.cancel();
    } catch (failure) {
      console.warn("a machine's link could not be closed first", { machine: name, failure: String(failure) });
    }
  }

  async #moveLog(from: string, to: string): Promise<void> {
    const signal = AbortSignal.timeout(MOVE_TIMEOUT_MS);
    // The new script is made sure of first: a log is too large to be sent a second time when it is not there yet.
    await machineState(this.env, this.#id, to);
    const log = await askMachine(this.env, this.#id, from, ScriptPath.LOG, { signal });
    if (!log.ok) throw new Error(`the log of ${from} could not be read: HTTP ${log.status}`);
    const moved = await askMachine(this.env, this.#id, to, ScriptPath.LOG, {
      method: "POST",
      body: log.body,
      signal,
    });
    if (!moved.ok) throw new Error(`the log of ${from} could not be written: HTTP ${moved.status}`);
    await moved.body?.cancel();
  }

  /** One change at a time: between reading and writing the registry there are uploads to wait for. */
  #inTurn<Result>(change: () => Promise<Result>): Promise<Result> {
    const turn = this.#changing.then(change);
    this.#changing = turn.catch(() => undefined); // the caller gets the failure; the next one only waits its turn
    return turn;
  }
}

function nameInvalid(name: string): OperatorError {
  const reason = `"${name}" cannot be a machine's name: use 1 to 32 of a-z, 0-9 and single hyphens inside; names such as "api" and "mcp" are the operator's own.`;
  return { code: "invalid_request", reason };
}
