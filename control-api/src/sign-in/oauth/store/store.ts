import type { ListedKey, OAuthStoreRpc, StoreBindings } from "./store-rpc.ts";
import { SHARDS, shardOf, shardOfName, userOfKey } from "./shard.ts";

type PutOptions = { expiration?: number | undefined; expirationTtl?: number | undefined; metadata?: unknown };
type ListOptions = { prefix?: string | null; cursor?: string | null; limit?: number };

/** KV's own page size. */
const PAGE = 1_000;

/** A pagination cursor, `<shard>:<last key of the page>`. */
const CURSOR = /^(\d{1,2}):([^]*)$/;

/** The store, with those methods of a KV namespace that the OAuth library uses. Unlike KV it is strongly consistent. */
export class Store {
  readonly #env: StoreBindings;

  constructor(env: StoreBindings) {
    this.#env = env;
  }

  async get(key: string, options?: "text" | "json" | { type?: "text" | "json" }): Promise<unknown> {
    const value: string | null = await this.#shard(shardOf(key)).read(key);
    const type = typeof options === "string" ? options : options?.type;
    return value !== null && type === "json" ? JSON.parse(value) : value;
  }

  async put(key: string, value: string, { expiration, expirationTtl, metadata }: PutOptions = {}): Promise<void> {
    const ttlMs = expirationTtl === undefined ? null : Date.now() + expirationTtl * 1000;
    const expiresMs = ttlMs ?? (expiration === undefined ? null : expiration * 1000);
    const shown = metadata === undefined ? null : JSON.stringify(metadata);
    await this.#shard(shardOf(key)).write({ key, value, expiresMs, metadata: shown });
  }

  async delete(key: string): Promise<void> {
    await this.#shard(shardOf(key)).erase(key);
  }

  /** Lists keys like KV. A prefix of one user's keys reads one object; any other prefix reads all objects in turn. */
  async list({ prefix, cursor, limit = PAGE }: ListOptions = {}) {
    const begin = prefix ?? "";
    const only = userOfKey(begin) === null ? null : shardOf(begin);
    const [, at = String(only ?? 0), last = ""] = CURSOR.exec(cursor ?? "") ?? [];
    const found: ListedKey[] = [];
    const end = only ?? SHARDS - 1;
    let after = last;
    for (let shard = Number(at); shard <= end; shard += 1) {
      const wanted = limit - found.length;
      const keys: ListedKey[] = await this.#shard(shard).keys(begin, after, wanted + 1);
      found.push(...keys.slice(0, wanted));
      // `wanted` is 0 if earlier objects filled the page exactly; then the next page starts at this object's first key.
      if (keys.length > wanted) return listed(found, `${shard}:${wanted === 0 ? after : (found.at(-1)?.key ?? after)}`);
      after = "";
    }
    return listed(found, null);
  }

  /** Deletes all entries of a user, permanently. */
  async removeUser(user: string): Promise<void> {
    await this.#shard(shardOfName(user)).removeUser(user);
  }

  #shard(index: number): DurableObjectStub<OAuthStoreRpc> {
    return this.#env.OAUTH_STORE.getByName(`shard-${index}`);
  }
}

function listed(found: readonly ListedKey[], cursor: string | null) {
  const keys = found.map(({ key, expiresMs, metadata }) => ({
    name: key,
    ...(expiresMs === null ? {} : { expiration: Math.floor(expiresMs / 1000) }),
    ...(metadata === null ? {} : { metadata: JSON.parse(metadata) as unknown }),
  }));
  return cursor === null
    ? { keys, list_complete: true as const, cacheStatus: null }
    : { keys, list_complete: false as const, cursor, cacheStatus: null };
}
