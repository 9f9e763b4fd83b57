import { columnsOf } from "../columns.ts";
import type { Credential } from "../http/caller.ts";
import { hashOf } from "../sign-in/access-token.ts";
import { makeKey } from "./enrolment-key.ts";
import { MAX_KEYS, MAX_MACHINES } from "./limits.ts";

/** What a key allows. */
export type KeyLimits = {
  /** Names of the machines begin with it. */
  readonly tag: string;
  /** Whether it may enrol more than one machine. */
  readonly reusable: boolean;
  readonly expiresMs: number;
  /** Machines that it may have enrolled at the same time. */
  readonly maxMachines: number;
  /** `serve.json` of its machines, as JSON; `null` for the defaults. */
  readonly policy: string | null;
};

/** A key as lists show it, without its secret. Times are in milliseconds since 1970. */
export type KeyRecord = KeyLimits & {
  readonly id: string;
  readonly createdMs: number;
  /** Machines that it ever enrolled, and the identities of those that exist. */
  readonly used: number;
  readonly machines: readonly string[];
};

type Row = {
  id: string;
  tag: string;
  reusable: number;
  expires_ms: number;
  max_machines: number;
  policy: string | null;
  created_ms: number;
  used: number;
};

/** Why a key enrols nobody now. */
export type KeyRefusal = "unknown" | "expired" | "used_up" | "full" | "not_its_machine";

/** What is known of others when a key is used. */
export type KeySurroundings = {
  /** Whether a machine has this identity. */
  readonly isMachine: (identity: string) => boolean;
  /** Whether the grant or token with which the key was made is still valid. */
  readonly isValid: (credential: Credential) => boolean;
};

/**
 * The keys with which machines enrol without a person, and which machines came by which key.
 *
 *   enrolment_key  one row for each key, with its hash. A revoked key has no row
 *   enrolled       one row for each machine that came by a key and exists: its identity, which a rename does not change. It stays when the
 *                  key is revoked, so that the machine can still leave. `silent` counts how often in a row it was seen offline. It is a count
 *                  and no time, because all machines are offline while Operator itself is down, and it is stored, because this object is not
 *                  in memory between two looks
 *   enrolling      those of them that are being registered. One that is found after a restart was not, if there is no such machine
 */
export class EnrolmentKeys {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS enrolment_key (id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, tag TEXT NOT NULL, reusable INTEGER NOT NULL,
        expires_ms INTEGER NOT NULL, max_machines INTEGER NOT NULL, policy TEXT, created_ms INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0,
        made_with TEXT);
      CREATE TABLE IF NOT EXISTS enrolled (identity TEXT PRIMARY KEY, key TEXT NOT NULL, enrolled_ms INTEGER NOT NULL,
        silent INTEGER NOT NULL DEFAULT 0);
      CREATE TABLE IF NOT EXISTS enrolling (identity TEXT PRIMARY KEY);
    `);
    // A database of version 0.3.
    if (!columnsOf(sql, "enrolled").has("silent"))
      sql.exec("ALTER TABLE enrolled ADD COLUMN silent INTEGER NOT NULL DEFAULT 0");
  }

  /**
   * Makes a key; `full` if there are as many as a person may have.
   * @param isValid whether its maker has not lost access; else there is none, and the answer is `null`
   */
  async create(
    user: string,
    limits: KeyLimits,
    credential: Credential | null,
    nowMs: number,
    isValid: () => boolean,
  ): Promise<{ key: string; record: KeyRecord } | "full" | null> {
    const key = makeKey(user);
    const hash = await hashOf(key);
    // No `await` from here on: what revokes the maker ends the keys that are stored by then, and the limit counts those that were made at the same time.
    if (!isValid()) return null;
    if (this.list().length >= MAX_KEYS) return "full";
    const id = crypto.randomUUID().slice(0, 8);
    const { tag, reusable, expiresMs, maxMachines, policy } = limits;
    this.#sql.exec(
      `INSERT INTO enrolment_key (id, hash, tag, reusable, expires_ms, max_machines, policy, created_ms, made_with)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      hash,
      tag,
      reusable ? 1 : 0,
      expiresMs,
      Math.min(maxMachines, MAX_MACHINES),
      policy,
      nowMs,
      credential,
    );
    return { key, record: { ...limits, id, createdMs: nowMs, used: 0, machines: [] } };
  }

  list(): KeyRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM enrolment_key ORDER BY created_ms")
      .toArray()
      .map((row) => ({
        id: row.id,
        tag: row.tag,
        reusable: row.reusable === 1,
        expiresMs: row.expires_ms,
        maxMachines: row.max_machines,
        policy: row.policy,
        createdMs: row.created_ms,
        used: row.used,
        machines: this.machinesOf(row.id),
      }));
  }

  /** Deletes a key. Answers whether there was one. Its machines stay until they end, or are removed. */
  revoke(id: string): boolean {
    return this.#sql.exec("DELETE FROM enrolment_key WHERE id = ?", id).rowsWritten > 0;
  }

  /** Revokes the keys that were made with a grant or token that was revoked. */
  revokeMadeWith(credential: Credential): void {
    this.#sql.exec("DELETE FROM enrolment_key WHERE made_with = ?", credential);
  }

  /** The keys that were made with one grant now belong to another, which has replaced it. */
  passOn(from: Credential, to: Credential): void {
    this.#sql.exec("UPDATE enrolment_key SET made_with = ? WHERE made_with = ?", to, from);
  }

  revokeAll(): void {
    this.#sql.exec("DELETE FROM enrolment_key");
  }

  /** Whether a key was not revoked, by its id. */
  isKept(id: string): boolean {
    return this.#sql.exec("SELECT 1 FROM enrolment_key WHERE id = ?", id).toArray().length > 0;
  }

  /** Whether there is such a key. */
  async has(key: string): Promise<boolean> {
    const hash = await hashOf(key);
    return this.#sql.exec("SELECT 1 FROM enrolment_key WHERE hash = ?", hash).toArray().length > 0;
  }

  /**
   * Takes one use of a key for the machine with this identity. `again`: it enrolled with this key before, so nothing is used up. A key
   * ends with the token that made it, and opens no machine but its own: with the identity of another, it could take that machine over, or
   * remove it.
   */
  async take(
    key: string,
    identity: string,
    nowMs: number,
    { isMachine, isValid }: KeySurroundings,
  ): Promise<{ record: KeyRecord; again: boolean } | KeyRefusal> {
    const hash = await hashOf(key);
    const [row] = this.#sql
      .exec<{ id: string; made_with: string | null }>("SELECT id, made_with FROM enrolment_key WHERE hash = ?", hash)
      .toArray();
    const record = this.list().find(({ id }) => id === row?.id);
    if (record === undefined) return "unknown";
    const maker = (row?.made_with ?? null) as Credential | null; // written by `create`
    if (record.expiresMs <= nowMs || (maker !== null && !isValid(maker))) return "expired";
    if (record.machines.includes(identity)) return { record, again: true };
    if (isMachine(identity)) return "not_its_machine";
    if (!record.reusable && record.used > 0) return "used_up";
    if (record.machines.length >= record.maxMachines) return "full";
    this.#sql.exec("UPDATE enrolment_key SET used = used + 1 WHERE id = ?", record.id);
    this.#sql.exec(
      "INSERT OR REPLACE INTO enrolled (identity, key, enrolled_ms) VALUES (?, ?, ?)",
      identity,
      record.id,
      nowMs,
    );
    this.#sql.exec("INSERT OR REPLACE INTO enrolling VALUES (?)", identity);
    return { record, again: false };
  }

  /** Gives back what `take` took, because the machine could not be registered. */
  giveBack(identity: string): void {
    this.#sql.exec(
      "UPDATE enrolment_key SET used = used - 1 WHERE id = (SELECT key FROM enrolled WHERE identity = ?)",
      identity,
    );
    this.forget(identity);
  }

  /** The machine is registered. */
  settle(identity: string): void {
    this.#sql.exec("DELETE FROM enrolling WHERE identity = ?", identity);
  }

  /** The machines that are being registered. */
  unsettled(): string[] {
    return this.#sql
      .exec<{ identity: string }>("SELECT identity FROM enrolling")
      .toArray()
      .map(({ identity }) => identity);
  }

  /** A machine that came by a key is gone. */
  forget(identity: string): void {
    this.#sql.exec("DELETE FROM enrolled WHERE identity = ?", identity);
    this.settle(identity);
  }

  /** A machine was seen offline. Answers how often that was in a row. */
  wasSilent(identity: string): number {
    const [row] = this.#sql
      .exec<{ silent: number }>("UPDATE enrolled SET silent = silent + 1 WHERE identity = ? RETURNING silent", identity)
      .toArray();
    return row?.silent ?? 0;
  }

  wasOnline(identity: string): void {
    this.#sql.exec("UPDATE enrolled SET silent = 0 WHERE identity = ? AND silent > 0", identity);
  }

  machinesOf(id: string): string[] {
    return this.#sql
      .exec<{ identity: string }>("SELECT identity FROM enrolled WHERE key = ?", id)
      .toArray()
      .map(({ identity }) => identity);
  }

  /** The identities of all machines that came by a key. */
  all(): string[] {
    return this.#sql
      .exec<{ identity: string }>("SELECT identity FROM enrolled")
      .toArray()
      .map(({ identity }) => identity);
  }

  hasEnrolled(identity: string): boolean {
    return this.#sql.exec("SELECT 1 FROM enrolled WHERE identity = ?", identity).toArray().length > 0;
  }
}
