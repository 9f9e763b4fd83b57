import { type Caller, callerWith } from "../caller.ts";
import { ALL_SCOPES } from "../sign-in/scope.ts";
import { hashOf, makeToken } from "./access-token.ts";

/** A personal access token as it is listed; the token itself was shown once. Times in milliseconds since 1970. */
export type TokenRecord = { id: string; label: string; createdMs: number; expiresMs: number | null };

/** The table of one user's personal access tokens. At rest is only a hash. */
export class Tokens {
  readonly #sql: SqlStorage;
  readonly #user: () => string;

  constructor(sql: SqlStorage, user: () => string) {
    this.#sql = sql;
    this.#user = user;
    sql.exec(`CREATE TABLE IF NOT EXISTS token (
      id TEXT PRIMARY KEY, hash TEXT NOT NULL UNIQUE, label TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER)`);
  }

  /** Makes a token and answers it, this once. */
  async create(label: string, expiresMs: number | null): Promise<{ token: string; record: TokenRecord }> {
    const token = makeToken(this.#user());
    const record = { id: crypto.randomUUID().slice(0, 8), label, createdMs: Date.now(), expiresMs };
    this.#sql.exec(
      "INSERT INTO token VALUES (?, ?, ?, ?, ?)",
      record.id,
      await hashOf(token),
      label,
      record.createdMs,
      expiresMs,
    );
    return { token, record };
  }

  list(): TokenRecord[] {
    return this.#sql
      .exec<{ id: string; label: string; created_ms: number; expires_ms: number | null }>(
        "SELECT * FROM token ORDER BY created_ms",
      )
      .toArray()
      .map((row) => ({ id: row.id, label: row.label, createdMs: row.created_ms, expiresMs: row.expires_ms }));
  }

  /** `false`: there is no such token. */
  revoke(id: string): boolean {
    return this.#sql.exec("DELETE FROM token WHERE id = ?", id).rowsWritten > 0;
  }

  revokeAll(): void {
    this.#sql.exec("DELETE FROM token");
  }

  /** Who bears this token. Looked up by its hash, so that time tells nothing of it. */
  async authenticate(token: string): Promise<Caller | null> {
    const [row] = this.#sql
      .exec<{ label: string; expires_ms: number | null }>(
        "SELECT label, expires_ms FROM token WHERE hash = ?",
        await hashOf(token),
      )
      .toArray();
    if (row === undefined || (row.expires_ms !== null && row.expires_ms <= Date.now())) return null;
    return callerWith({ user: this.#user(), client: row.label, machines: null, scopes: ALL_SCOPES });
  }
}
