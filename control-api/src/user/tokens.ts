import * as z from "zod/mini";
import { columnsOf } from "../columns.ts";
import { type Bearer, callerWith, type Credential, type Sight, type TokenAnswer } from "../http/caller.ts";
import { SCOPES, type Scope } from "../http/scope.ts";
import type { MeantMachine } from "../http/shown-machine.ts";
import { hashOf, makeToken } from "../sign-in/access-token.ts";
import { CallBudgets } from "./call-budget.ts";
import { EndedBearers } from "./ended-bearers.ts";

/** Valid tokens of one person: one for each program on each of a few hundred computers. Nobody could find one among more in order to revoke it. */
export const MAX_TOKENS = 1_000;

/** Expired tokens that a person still sees in the list, the last ones. */
const KEPT_EXPIRED = 100;

/**
 * What a token may do. `machines`: the current names of the machines that it is limited to, or `null` for all of the user's.
 * `expiresMs`: milliseconds since 1970, or `null` for never.
 */
export type TokenLimits = {
  readonly scopes: readonly Scope[];
  readonly machines: readonly string[] | null;
  readonly expiresMs: number | null;
  /** Requests that it may make per day (UTC); `null` for as many as it likes. */
  readonly callsPerDay: number | null;
};

/** The limits of a token that somebody asks for. */
export type AskedLimits = Omit<TokenLimits, "machines"> & { readonly machines: readonly MeantMachine[] | null };

/** A personal access token as lists show it, without the secret. Times are in milliseconds since 1970. */
export type TokenRecord = TokenLimits & { id: string; label: string; createdMs: number; usedMs: number | null };

/** A new token and its record. The token is not stored, so this is the only time it can be shown. */
export type MadeToken = { token: string; record: TokenRecord };

/**
 * What a token is created with. Revoking a grant or token also revokes the token; what a person made in a browser stays when that is signed out.
 * `null` for the local owner, who has nothing that could be revoked.
 */
export type TokenMaker = { readonly credential: Bearer | null };

/** Maps machine names to identities and back. A name can pass to another computer; an identity always stays with its computer. */
export type MachineNames = {
  identityOf(name: string): string | null;
  nameOf(identity: string): string | null;
};

type Row = {
  id: string;
  label: string;
  scopes: string;
  machines: string | null;
  created_ms: number;
  expires_ms: number | null;
  calls_per_day: number | null;
  budget_day: number;
  budget_reserved: number;
  used_ms: number | null;
};

const Scopes = z.array(z.enum(SCOPES));
/** The stored form of a token's machines: identities, or plain names in databases of version 0.1. */
const Machines = z.array(z.union([z.string(), z.object({ identity: z.string() })]));

/** The last use of a token is stored to the hour. A write per call would cost more than the rest of its look-up. Milliseconds. */
const USED_STEP_MS = 60 * 60_000;

/** The table of one user's personal access tokens. Only their hashes are stored. */
export class Tokens {
  readonly #sql: SqlStorage;
  readonly #user: () => string;
  readonly #names: MachineNames;
  readonly #ended: EndedBearers;
  readonly #budgets = new CallBudgets((id, { day, reserved }) =>
    this.#sql.exec("UPDATE access_token SET budget_day = ?, budget_reserved = ? WHERE id = ?", day, reserved, id),
  );

  constructor(sql: SqlStorage, user: () => string, names: MachineNames) {
    this.#sql = sql;
    this.#user = user;
    this.#names = names;
    this.#ended = new EndedBearers(sql);
    sql.exec(`CREATE TABLE IF NOT EXISTS access_token (
      id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, label TEXT NOT NULL, scopes TEXT NOT NULL, machines TEXT,
      created_ms INTEGER NOT NULL, expires_ms INTEGER, made_with TEXT,
      calls_per_day INTEGER, budget_day INTEGER NOT NULL DEFAULT 0, budget_reserved INTEGER NOT NULL DEFAULT 0)`);
    const columns = columnsOf(sql, "access_token");
    if (!columns.has("used_ms")) sql.exec("ALTER TABLE access_token ADD COLUMN used_ms INTEGER");
    // A database of version 0.2, which has no budgets.
    if (!columns.has("calls_per_day")) {
      sql.exec("ALTER TABLE access_token ADD COLUMN calls_per_day INTEGER");
      sql.exec("ALTER TABLE access_token ADD COLUMN budget_day INTEGER NOT NULL DEFAULT 0");
      sql.exec("ALTER TABLE access_token ADD COLUMN budget_reserved INTEGER NOT NULL DEFAULT 0");
    }
    // A database of version 0.1, which does not store what a token was created with and limits machines by name.
    if (!columns.has("made_with")) {
      sql.exec("ALTER TABLE access_token ADD COLUMN made_with TEXT");
      for (const { id, machines } of sql.exec<Row>("SELECT * FROM access_token WHERE machines IS NOT NULL").toArray())
        sql.exec("UPDATE access_token SET machines = ? WHERE id = ?", this.#kept(namesIn(machines)), id);
    }
    sql.exec("CREATE INDEX IF NOT EXISTS access_token_made_with ON access_token (made_with)");
  }

  /**
   * Creates a token. The caller has checked that its machines exist. `null` if its maker has lost access since it was let in; `full` if there are
   * as many valid ones as a person may have.
   */
  async create(label: string, limits: TokenLimits, { credential }: TokenMaker): Promise<MadeToken | "full" | null> {
    // First: while the hash is computed, a name may pass to another computer.
    const machines = limits.machines === null ? null : this.#kept(limits.machines);
    const token = makeToken(this.#user());
    const hash = await hashOf(token);
    // No `await` from here on: what revokes the maker ends the tokens that are stored by then, and the limit counts those that were made at the same time.
    if (credential !== null && !this.isValid(credential, Date.now())) return null;
    if (this.#isFull(Date.now())) return "full";
    this.#forgetExpired(Date.now());
    const record = { id: crypto.randomUUID().slice(0, 8), label, createdMs: Date.now(), usedMs: null, ...limits };
    this.#sql.exec(
      `INSERT INTO access_token (id, hash, label, scopes, machines, created_ms, expires_ms, made_with, calls_per_day)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      record.id,
      hash,
      label,
      JSON.stringify(limits.scopes),
      machines,
      record.createdMs,
      limits.expiresMs,
      credential?.startsWith("browser:") === true ? null : credential,
      limits.callsPerDay,
    );
    return { token, record };
  }

  #isFull(nowMs: number): boolean {
    const valid = "SELECT count(*) AS tokens FROM access_token WHERE expires_ms IS NULL OR expires_ms > ?";
    return this.#sql.exec<{ tokens: number }>(valid, nowMs).one().tokens >= MAX_TOKENS;
  }

  /** Those that have expired are valid for nothing. Without end, they would fill the disk and the list in which a person looks for one to revoke. */
  #forgetExpired(nowMs: number): void {
    this.#sql.exec(
      `DELETE FROM access_token WHERE id IN
       (SELECT id FROM access_token WHERE expires_ms <= ? ORDER BY expires_ms DESC, id LIMIT -1 OFFSET ?)`,
      nowMs,
      KEPT_EXPIRED,
    );
  }

  /** When the token expires that is the maker of another, in milliseconds since 1970; `null` for never, and for other makers. */
  expiryOf({ credential }: TokenMaker): number | null {
    const id = credential?.startsWith("token:") === true ? credential.slice("token:".length) : null;
    const [row] = this.#sql
      .exec<{ expires_ms: number | null }>("SELECT expires_ms FROM access_token WHERE id = ?", id)
      .toArray();
    return row?.expires_ms ?? null;
  }

  /** Whether a token is still valid, by its credential, or a grant or browser was not ended in the last day. */
  isValid(credential: Bearer, nowMs: number): boolean {
    if (!credential.startsWith("token:")) return !this.#ended.has(credential);
    const id = credential.slice("token:".length);
    const valid = "SELECT 1 FROM access_token WHERE id = ? AND (expires_ms IS NULL OR expires_ms > ?)";
    return this.#sql.exec(valid, id, nowMs).toArray().length > 0;
  }

  /** What a valid token lets its bearer see, by its id. */
  sightOf(id: string, nowMs: number): Sight | null {
    const valid = "SELECT * FROM access_token WHERE id = ? AND (expires_ms IS NULL OR expires_ms > ?)";
    const [row] = this.#sql.exec<Row>(valid, id, nowMs).toArray();
    return row === undefined ? null : { machines: row.machines === null ? null : identitiesIn(row.machines) };
  }

  list(): TokenRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM access_token ORDER BY created_ms")
      .toArray()
      .map((row) => ({
        id: row.id,
        label: row.label,
        createdMs: row.created_ms,
        usedMs: row.used_ms,
        ...this.#limitsOf(row),
      }));
  }

  /** Revokes a token and the tokens that were created with it. Answers its label, or `null` if there is no such token. */
  revoke(id: string): string | null {
    const [row] = this.#sql
      .exec<{ label: string }>("DELETE FROM access_token WHERE id = ? RETURNING label", id)
      .toArray();
    if (row !== undefined) this.revokeMadeWith(`token:${id}`);
    this.#budgets.forget(id);
    return row?.label ?? null;
  }

  /**
   * Revokes the tokens that were created with a revoked grant or token, and those created with them in turn. Otherwise an app could
   * keep its access by creating a token before its grant is revoked. Answers how many were revoked.
   */
  revokeMadeWith(credential: Credential): number {
    this.#end(credential);
    // In the database: a thief can make a chain of tokens that is longer than a stack of calls may be deep.
    const revoked = this.#sql.exec<{ id: string }>(
      `WITH RECURSIVE made (id) AS (SELECT id FROM access_token WHERE made_with = ?
         UNION SELECT next.id FROM access_token next JOIN made ON next.made_with = 'token:' || made.id)
       DELETE FROM access_token WHERE id IN (SELECT id FROM made) RETURNING id`,
      credential,
    );
    return revoked.toArray().length;
  }

  /** What was made with one grant now belongs to another, which has replaced it. */
  passOn(from: Credential, to: Credential): void {
    this.#end(from);
    this.#sql.exec("UPDATE access_token SET made_with = ? WHERE made_with = ?", to, from);
  }

  revokeAll(): void {
    this.#sql.exec("DELETE FROM access_token");
  }

  /** Browsers were signed out. What was made in them stays, and nothing can be made in them from now on. */
  endBrowsers(ids: readonly string[]): void {
    for (const id of ids) this.#ended.add(`browser:${id}`, Date.now());
  }

  /** From now on nothing can be made with this. A token is known to have ended because it is gone. */
  #end(credential: Credential): void {
    if (!credential.startsWith("token:")) this.#ended.add(credential, Date.now());
  }

  /**
   * The caller behind a token. The token is looked up by its hash, so timing reveals nothing about stored tokens.
   *
   * @param counts whether this is a request that its budget counts. Checking an open stream's token again is not
   */
  async authenticate(token: string, counts: boolean, nowMs: number): Promise<TokenAnswer> {
    const [row] = this.#sql.exec<Row>("SELECT * FROM access_token WHERE hash = ?", await hashOf(token)).toArray();
    if (row === undefined || (row.expires_ms !== null && row.expires_ms <= nowMs)) return null;
    if (counts && row.calls_per_day !== null) {
      const stored = { day: row.budget_day, reserved: row.budget_reserved };
      const { afterMs, isTold } = this.#budgets.take(row.id, row.calls_per_day, stored, nowMs);
      if (afterMs > 0) return { spent: { perDay: row.calls_per_day, afterMs, label: row.label, isTold } };
    }
    if (counts && nowMs - (row.used_ms ?? 0) >= USED_STEP_MS)
      this.#sql.exec("UPDATE access_token SET used_ms = ? WHERE id = ?", nowMs, row.id);
    const { scopes, machines } = this.#limitsOf(row);
    return callerWith({
      user: this.#user(),
      client: row.label,
      machines,
      computers: row.machines === null ? null : identitiesIn(row.machines),
      scopes,
      credential: `token:${row.id}`,
      freshUntilMs: 0,
    });
  }

  /** The machines in stored form, by identity, so that a token does not give access to another computer that gets an old name. */
  #kept(names: readonly string[]): string {
    const identities = names.flatMap((name) => this.#names.identityOf(name) ?? []);
    return JSON.stringify(identities.map((identity) => ({ identity })));
  }

  #limitsOf({ scopes, machines, expires_ms: expiresMs, calls_per_day: callsPerDay }: Row): TokenLimits {
    return {
      scopes: Scopes.parse(JSON.parse(scopes)),
      machines: machines === null ? null : this.#namesOf(machines),
      expiresMs,
      callsPerDay,
    };
  }

  /** The current names of the machines; removed machines are left out. */
  #namesOf(machines: string): string[] {
    return identitiesIn(machines).flatMap((identity) => this.#names.nameOf(identity) ?? []);
  }
}

function identitiesIn(machines: string): string[] {
  return Machines.parse(JSON.parse(machines)).flatMap((machine) =>
    typeof machine === "string" ? [] : machine.identity,
  );
}

function namesIn(machines: string | null): string[] {
  const listed = machines === null ? [] : Machines.parse(JSON.parse(machines));
  return listed.filter((machine) => typeof machine === "string");
}
