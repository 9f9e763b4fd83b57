import { latestEnd } from "../clock.ts";
import { hashOf, randomLetters } from "../secret.ts";

/** Lifetime of an invitation: time to pass it on and for the other person to find it. Milliseconds. */
const INVITE_MS = 3 * 24 * 60 * 60_000;

/** Crockford's Base32 alphabet: it leaves out I, L, O and U, which are mistaken for other characters. */
const CODE_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

/** 20 letters of 5 bits are 100 bits, which cannot be guessed even without a rate limit. */
const CODE_LETTERS = 20;

/** The table of invitations for further users. Each works once; only the hash of its code is stored. */
export class Invites {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS invite (hash TEXT PRIMARY KEY, expires_ms INTEGER NOT NULL)");
  }

  /**
   * Creates an invitation. Answers its code in groups of five letters, which cannot be read back later.
   * @param isAllowed whether whoever invites is still signed in; else there is none, and the answer is `null`
   */
  async create(nowMs: number, isAllowed: () => boolean): Promise<{ code: string; expiresMs: number } | null> {
    const code = randomLetters(CODE_ALPHABET, CODE_LETTERS).replaceAll(/(.{5})(?=.)/g, "$1-");
    const expiresMs = nowMs + INVITE_MS;
    const hash = await hashOf(plainCode(code));
    if (!isAllowed()) return null;
    this.#sql.exec("DELETE FROM invite WHERE expires_ms <= ?", nowMs);
    this.#sql.exec("INSERT INTO invite VALUES (?, ?)", hash, expiresMs);
    return { code, expiresMs };
  }

  /** Invitations are the owner's alone. When the owner's account is claimed again, open ones may be a thief's. */
  deleteAll(): void {
    this.#sql.exec("DELETE FROM invite");
  }

  async isOpen(code: string, nowMs: number): Promise<boolean> {
    const rows = this.#sql.exec(
      "SELECT 1 FROM invite WHERE hash = ? AND expires_ms > ? AND expires_ms <= ?",
      await hashOf(plainCode(code)),
      nowMs,
      latestEnd(INVITE_MS, nowMs),
    );
    return rows.toArray().length > 0;
  }

  /** Uses an invitation up. Answers `false` if it is unknown, expired, or was used by another request first. */
  async spend(code: string, nowMs: number): Promise<boolean> {
    const hash = await hashOf(plainCode(code));
    const open = "DELETE FROM invite WHERE hash = ? AND expires_ms > ? AND expires_ms <= ?";
    return this.#sql.exec(open, hash, nowMs, latestEnd(INVITE_MS, nowMs)).rowsWritten > 0;
  }
}

/** The code in its canonical form. As in Crockford's Base32, O is read as 0, and I and L as 1. */
export function plainCode(code: string): string {
  return code
    .toUpperCase()
    .replaceAll(/[^0-9A-Z]/g, "")
    .replaceAll("O", "0")
    .replaceAll(/[IL]/g, "1");
}
