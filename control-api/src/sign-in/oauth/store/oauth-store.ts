import { DurableObject } from "cloudflare:workers";
import { grantOfKey, userOfKey } from "./shard.ts";
import type { ListedKey, OAuthStoreRpc, StoredEntry } from "./store-rpc.ts";

/** Shortest time between two sweeps of expired entries (milliseconds), and how many one sweep deletes. Reads skip expired entries. */
const SWEEP_MS = 60_000;
const SWEEP_ROWS = 1_000;

/** How long a grant is remembered that was deleted: far longer than it takes to redeem a code or token of it. Milliseconds. */
const DELETED_GRANT_MS = 24 * 60 * 60_000;

/** The highest code point: `prefix + LAST` sorts after every key with that prefix. */
const LAST = "\u{10FFFF}";

/**
 * One of the objects that hold OAuth clients, grants and tokens (store.ts). A Durable Object runs in one place and is strongly
 * consistent: a revoked token is refused at the very next request, anywhere. KV would accept it for up to a minute or longer.
 */
export class OAuthStore extends DurableObject implements OAuthStoreRpc {
  readonly #sql = this.ctx.storage.sql;
  #sweptMs = 0;

  constructor(ctx: DurableObjectState, env: object) {
    super(ctx, env);
    this.#sql.exec(`CREATE TABLE IF NOT EXISTS entry (
      key TEXT PRIMARY KEY, value TEXT NOT NULL, expires_ms INTEGER, metadata TEXT) WITHOUT ROWID`);
    this.#sql.exec("CREATE INDEX IF NOT EXISTS entry_expiry ON entry (expires_ms) WHERE expires_ms IS NOT NULL");
    this.#sql.exec("CREATE TABLE IF NOT EXISTS removed_user (user TEXT PRIMARY KEY) WITHOUT ROWID");
    this.#sql.exec(
      "CREATE TABLE IF NOT EXISTS deleted_grant (key TEXT PRIMARY KEY, at_ms INTEGER NOT NULL) WITHOUT ROWID",
    );
  }

  read(key: string): string | null {
    if (this.#isRemoved(userOfKey(key))) return null;
    const [row] = this.#sql
      .exec<{ value: string }>(
        "SELECT value FROM entry WHERE key = ? AND (expires_ms IS NULL OR expires_ms > ?)",
        key,
        Date.now(),
      )
      .toArray();
    return row?.value ?? null;
  }

  /**
   * Throws for an entry of a removed user or a deleted grant, so that an operation that was running during the removal cannot restore access:
   * the library reads a grant, and writes it back with the next refresh token.
   */
  write({ key, value, expiresMs, metadata }: StoredEntry): void {
    const user = userOfKey(key);
    if (this.#isRemoved(user)) throw new Error(`the user ${user} was removed`);
    const grant = grantOfKey(key);
    if (grant !== null && this.#isDeleted(grant)) throw new Error("the grant was deleted");
    this.#sweep(Date.now());
    this.#sql.exec("INSERT OR REPLACE INTO entry VALUES (?, ?, ?, ?)", key, value, expiresMs, metadata);
  }

  /** Deletes an entry. With a grant, its tokens go as well: one may have been made since the library listed them. */
  erase(key: string): void {
    this.#sql.exec("DELETE FROM entry WHERE key = ?", key);
    if (grantOfKey(key) !== key) return;
    this.#sql.exec("INSERT OR REPLACE INTO deleted_grant VALUES (?, ?)", key, Date.now());
    this.#eraseBelow(key.replace("grant:", "token:") + ":");
  }

  /** Keys with the prefix `prefix` that sort after `after`, in order. */
  keys(prefix: string, after: string, limit: number): ListedKey[] {
    if (this.#isRemoved(userOfKey(prefix))) return [];
    return this.#sql
      .exec<{ key: string; expires_ms: number | null; metadata: string | null }>(
        `SELECT key, expires_ms, metadata FROM entry WHERE key >= ?1 AND key < ?1 || ?2 AND key > ?3
         AND (expires_ms IS NULL OR expires_ms > ?4) ORDER BY key LIMIT ?5`,
        prefix,
        LAST,
        after,
        Date.now(),
        limit,
      )
      .toArray()
      .map((row) => ({ key: row.key, expiresMs: row.expires_ms, metadata: row.metadata }));
  }

  /** Deletes all entries of a user and refuses new ones from then on. Can be repeated. */
  removeUser(user: string): void {
    this.#sql.exec("INSERT OR IGNORE INTO removed_user VALUES (?)", user);
    for (const prefix of [`grant:${user}:`, `token:${user}:`]) this.#eraseBelow(prefix);
  }

  #eraseBelow(prefix: string): void {
    this.#sql.exec("DELETE FROM entry WHERE key >= ?1 AND key < ?1 || ?2", prefix, LAST);
  }

  #isDeleted(grant: string): boolean {
    return this.#sql.exec("SELECT 1 FROM deleted_grant WHERE key = ?", grant).toArray().length > 0;
  }

  #isRemoved(user: string | null): boolean {
    if (user === null) return false;
    return this.#sql.exec("SELECT 1 FROM removed_user WHERE user = ?", user).toArray().length > 0;
  }

  #sweep(nowMs: number): void {
    if (nowMs - this.#sweptMs < SWEEP_MS) return;
    this.#sweptMs = nowMs;
    this.#sql.exec("DELETE FROM deleted_grant WHERE at_ms < ?", nowMs - DELETED_GRANT_MS);
    this.#sql.exec(
      "DELETE FROM entry WHERE key IN (SELECT key FROM entry WHERE expires_ms <= ? LIMIT ?)",
      nowMs,
      SWEEP_ROWS,
    );
  }
}
