type MaybeAsync<Result> = Result | Promise<Result>;

/** An entry to write. `expiresMs`: milliseconds since 1970, or `null` for never. `metadata`: JSON, returned by `keys`. */
export type StoredEntry = {
  readonly key: string;
  readonly value: string;
  readonly expiresMs: number | null;
  readonly metadata: string | null;
};

export type ListedKey = { key: string; expiresMs: number | null; metadata: string | null };

/** The RPC methods of each object that holds entries of the store. */
export interface OAuthStoreRpc extends Rpc.DurableObjectBranded {
  read(key: string): MaybeAsync<string | null>;
  /** Throws for an entry of a removed user or a deleted grant. */
  write(entry: StoredEntry): MaybeAsync<void>;
  /** Of a grant for good, and its tokens with it. */
  erase(key: string): MaybeAsync<void>;
  keys(prefix: string, after: string, limit: number): MaybeAsync<ListedKey[]>;
  removeUser(user: string): MaybeAsync<void>;
}

export type StoreBindings = {
  /** OAuth clients, grants and tokens. The OAuth library defines keys and values. */
  readonly OAUTH_STORE: DurableObjectNamespace<OAuthStoreRpc>;
};
