type MaybeAsync<Result> = Result | Promise<Result>;

/** An entry as it is written. `expiresMs`: since 1970; `null` for never. `metadata`: JSON, shown by lists. */
export type StoredEntry = {
  readonly key: string;
  readonly value: string;
  readonly expiresMs: number | null;
  readonly metadata: string | null;
};

export type ListedKey = { key: string; expiresMs: number | null; metadata: string | null };

/** What the store asks of each of the objects that hold its entries, by RPC. */
export interface OAuthStoreRpc extends Rpc.DurableObjectBranded {
  read(key: string): MaybeAsync<string | null>;
  /** Throws for an entry of a user who was removed. */
  write(entry: StoredEntry): MaybeAsync<void>;
  erase(key: string): MaybeAsync<void>;
  keys(prefix: string, after: string, limit: number): MaybeAsync<ListedKey[]>;
  removeUser(user: string): MaybeAsync<void>;
}

export type StoreBindings = {
  /** OAuth clients, grants and tokens; the layout is the OAuth library's. */
  readonly OAUTH_STORE: DurableObjectNamespace<OAuthStoreRpc>;
};
