import type { Credential } from "../http/caller.ts";
import { MAX_VERIFIED, VERIFIED_AGE_MS } from "./limits.ts";

/**
 * The URLs whose receivers have agreed to get messages, by who asked them (SEP-3415, "Endpoint verification"). What one client has
 * verified is not verified for another.
 */
export class Verified {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS verified_url (
      credential TEXT NOT NULL, url TEXT NOT NULL, at_ms INTEGER NOT NULL, PRIMARY KEY (credential, url))`);
  }

  has(credential: Credential | null, url: string, nowMs: number): boolean {
    return (
      this.#sql
        .exec(
          "SELECT 1 FROM verified_url WHERE credential = ? AND url = ? AND at_ms > ?",
          credential ?? "",
          url,
          nowMs - VERIFIED_AGE_MS,
        ) // prettier-ignore
        .toArray().length > 0
    );
  }

  add(credential: Credential | null, url: string, nowMs: number): void {
    this.#sql.exec("INSERT OR REPLACE INTO verified_url VALUES (?, ?, ?)", credential ?? "", url, nowMs);
    this.#sql.exec(
      "DELETE FROM verified_url WHERE rowid IN (SELECT rowid FROM verified_url ORDER BY at_ms DESC LIMIT -1 OFFSET ?)",
      MAX_VERIFIED,
    );
  }

  deleteOld(nowMs: number): void {
    this.#sql.exec("DELETE FROM verified_url WHERE at_ms <= ?", nowMs - VERIFIED_AGE_MS);
  }

  clear(): void {
    this.#sql.exec("DELETE FROM verified_url");
  }
}
