import { hashOf, randomLetters } from "../secret.ts";

/** Long enough to be passed on and found in the evening; milliseconds. */
const INVITE_MS = 3 * 24 * 60 * 60_000;

/** Crockford's letters without those that look like others. */
const CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** 100 bits: not to be guessed, whatever the rate limit. */
const CODE_LETTERS = 20;

/** The table of invitations to become a further user. Each works once; at rest is the code's hash. */
export class Invites {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS invite (hash TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL)");
  }

  /** A new invitation's code, in groups, shown this once. */
  async create(nowMs: number): Promise<{ code: string; expiresMs: number }> {
    const code = randomLetters(CODE_ALPHABET, CODE_LETTERS).replaceAll(/(.{5})(?=.)/g, "$1-");
    const expiresMs = nowMs + INVITE_MS;
    this.#sql.exec("DELETE FROM invite WHERE expires_ms <= ?", nowMs);
    this.#sql.exec("INSERT INTO invite VALUES (?, ?)", await hashOf(plainCode(code)), expiresMs);
    return { code, expiresMs };
  }

  async isOpen(code: string, nowMs: number): Promise<boolean> {
    const rows = this.#sql.exec(
      "SELECT 1 FROM invite WHERE hash = ? AND expires_ms > ?",
      await hashOf(plainCode(code)),
      nowMs,
    );
    return rows.toArray().length > 0;
  }

  /** Uses an invitation up. `false`: there is none, or somebody else was faster. */
  async spend(code: string, nowMs: number): Promise<boolean> {
    const hash = await hashOf(plainCode(code));
    return this.#sql.exec("DELETE FROM invite WHERE hash = ? AND expires_ms > ?", hash, nowMs).rowsWritten > 0;
  }
}

/** A code as it is compared, however it was typed. */
export function plainCode(code: string): string {
  return code
    .toUpperCase()
    .replaceAll(/[^0-9A-Z]/g, "")
    .replaceAll("O", "0")
    .replaceAll(/[IL]/g, "1");
}
