import * as z from "zod/mini";
import { type Caller, callerWith } from "../http/caller.ts";
import { SCOPES, type Scope } from "../http/scope.ts";
import { hashOf, makeToken } from "../sign-in/access-token.ts";

/** What a token may do. `machines`: only these, by name; `null` for all of the user's. `expiresMs`: since 1970; `null` for never. */
export type TokenLimits = {
  readonly scopes: readonly Scope[];
  readonly machines: readonly string[] | null;
  readonly expiresMs: number | null;
};

/** A personal access token as it is listed; the token itself was shown once. Times in milliseconds since 1970. */
export type TokenRecord = TokenLimits & { id: string; label: string; createdMs: number };

type Row = {
  id: string;
  label: string;
  scopes: string;
  machines: string | null;
  created_ms: number;
  expires_ms: number | null;
};

const Scopes = z.array(z.enum(SCOPES));
const Machines = z.array(z.string());

/** The table of one user's personal access tokens. At rest is only a hash. */
export class Tokens {
  readonly #sql: SqlStorage;
  readonly #user: () => string;

  constructor(sql: SqlStorage, user: () => string) {
    this.#sql = sql;
    this.#user = user;
    sql.exec(`CREATE TABLE IF NOT EXISTS access_token (
      id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, label TEXT NOT NULL, scopes TEXT NOT NULL, machines TEXT,
      created_ms INTEGER NOT NULL, expires_ms INTEGER)`);
  }

  /** Makes a token and answers it, this once. */
  async create(label: string, limits: TokenLimits): Promise<{ token: string; record: TokenRecord }> {
    const token = makeToken(this.#user());
    const record = { id: crypto.randomUUID().slice(0, 8), label, createdMs: Date.now(), ...limits };
    this.#sql.exec(
      "INSERT INTO access_token VALUES (?, ?, ?, ?, ?, ?, ?)",
      record.id,
      await hashOf(token),
      label,
      JSON.stringify(limits.scopes),
      limits.machines === null ? null : JSON.stringify(limits.machines),
      record.createdMs,
      limits.expiresMs,
    );
    return { token, record };
  }

  list(): TokenRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM access_token ORDER BY created_ms")
      .toArray()
      .map((row) => ({ id: row.id, label: row.label, createdMs: row.created_ms, ...limitsOf(row) }));
  }

  /** The label of the token that is gone now; `null`: there is no such token. */
  revoke(id: string): string | null {
    const [row] = this.#sql
      .exec<{ label: string }>("DELETE FROM access_token WHERE id = ? RETURNING label", id)
      .toArray();
    return row?.label ?? null;
  }

  revokeAll(): void {
    this.#sql.exec("DELETE FROM access_token");
  }

  /** Who bears this token. Looked up by its hash, so that time tells nothing of it. */
  async authenticate(token: string): Promise<Caller | null> {
    const [row] = this.#sql.exec<Row>("SELECT * FROM access_token WHERE hash = ?", await hashOf(token)).toArray();
    if (row === undefined || (row.expires_ms !== null && row.expires_ms <= Date.now())) return null;
    const { scopes, machines } = limitsOf(row);
    return callerWith({ user: this.#user(), client: row.label, machines, scopes });
  }
}

function limitsOf({ scopes, machines, expires_ms: expiresMs }: Row): TokenLimits {
  return {
    scopes: Scopes.parse(JSON.parse(scopes)),
    machines: machines === null ? null : Machines.parse(JSON.parse(machines)),
    expiresMs,
  };
}
