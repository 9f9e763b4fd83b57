import * as z from "zod/mini";
import { columnsOf } from "../columns.ts";
import type { Bearer } from "../http/caller.ts";
import { PushSettings } from "../push/push-settings.ts";
import type { DeliveryFault } from "../mcp-events/events-error.ts";
import { passes, type PlacedEvent, type SubscriptionFilter } from "../mcp-events/subscription-arguments.ts";

/** Who wants the messages: an MCP client, or the person: by webhook, as notifications of ntfy, or as notifications of a browser. */
type Kind = "client" | "webhook" | "ntfy" | "push";

/** A subscription, without its secrets. Times are in milliseconds since 1970. */
export type Subscription = {
  readonly id: string;
  readonly kind: Kind;
  /** The name of the client or token that made it, for the person. */
  readonly client: string;
  /** What it ends with, such as the browser that shows its notifications; `null` for the owner at their own computer, and with MCPAuthKit. */
  readonly credential: Bearer | null;
  /** Names of event types; `null` for all. A client's subscription has exactly one. */
  readonly types: readonly string[] | null;
  readonly filter: SubscriptionFilter;
  /** Identities of the computers that its maker may see, as last checked; `null` for all. */
  readonly visible: readonly string[] | null;
  readonly url: string;
  readonly createdMs: number;
  readonly expiresMs: number | null;
  /** It has ended. Only the message that says so is still delivered. */
  readonly hasEnded: boolean;
  readonly suspendedMs: number | null;
  readonly failedSinceMs: number | null;
  readonly lastDeliveryMs: number | null;
  readonly lastFault: DeliveryFault | null;
  /** Events were left out, and the receiver has not been told yet. */
  readonly hasGap: boolean;
  /** Of a browser's notifications only. */
  readonly push: PushSettings | null;
};

/** Secrets as they are stored. The former one is used beside the new one until `formerUntilMs`. */
export type SealedSecrets = {
  readonly secret: string | null;
  readonly former: string | null;
  readonly formerUntilMs: number;
};

type Row = {
  id: string;
  kind: Kind;
  client: string;
  credential: Bearer | null;
  types: string | null;
  machine: string | null;
  identity: string | null;
  session: string | null;
  visible: string | null;
  url: string;
  created_ms: number;
  expires_ms: number | null;
  ended: number;
  suspended_ms: number | null;
  failed_since_ms: number | null;
  last_delivery_ms: number | null;
  last_fault: DeliveryFault | null;
  gap: number;
  secret: string | null;
  former: string | null;
  former_until_ms: number;
  push: string | null;
  by_names: number;
};

/** What a subscription is limited to, by the identities of computers. */
export type Limits = Pick<Subscription, "filter" | "visible" | "push">;

const Names = z.array(z.string());

/** A version that knew no computers stored the names of muted machines as `muted`. */
const StoredPush = z.extend(PushSettings, { mutedNames: z.optional(Names) });

/**
 * The table of one person's subscriptions.
 *
 *   machine, identity  the computer that the filter names, by its name of then. `identity` is `""` for one that nobody has any more
 *   by_names           1 while a machine is stored by its name alone: by a version that knew no computers, or of a machine whose computer is not known
 */
export class Subscriptions {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS subscription (
      id TEXT PRIMARY KEY, kind TEXT NOT NULL, client TEXT NOT NULL, credential TEXT, types TEXT, machine TEXT, session TEXT,
      visible TEXT, url TEXT NOT NULL, created_ms INTEGER NOT NULL, expires_ms INTEGER, ended INTEGER NOT NULL DEFAULT 0,
      suspended_ms INTEGER, failed_since_ms INTEGER, last_delivery_ms INTEGER, last_fault TEXT, gap INTEGER NOT NULL DEFAULT 0,
      secret TEXT, former TEXT, former_until_ms INTEGER NOT NULL DEFAULT 0, push TEXT)`);
    // A database of a version without notifications in browsers.
    if (!columnsOf(sql, "subscription").has("push")) sql.exec("ALTER TABLE subscription ADD COLUMN push TEXT");
    // One of a version in which a filter followed its machine's name to another computer.
    if (!columnsOf(sql, "subscription").has("by_names")) {
      sql.exec("ALTER TABLE subscription ADD COLUMN identity TEXT");
      sql.exec("ALTER TABLE subscription ADD COLUMN by_names INTEGER NOT NULL DEFAULT 0");
      sql.exec("UPDATE subscription SET by_names = 1");
    }
  }

  get(id: string): Subscription | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM subscription WHERE id = ?", id).toArray();
    return row === undefined ? null : subscriptionOf(row);
  }

  list(): Subscription[] {
    return this.#sql.exec<Row>("SELECT * FROM subscription ORDER BY created_ms, id").toArray().map(subscriptionOf);
  }

  /** Those with a machine that is stored by its name: in `filter`, or a muted one. */
  byNames(): Subscription[] {
    return this.#sql.exec<Row>("SELECT * FROM subscription WHERE by_names = 1").toArray().map(subscriptionOf);
  }

  /** From now on it is limited to these computers, whatever their names are. @param isBound whether no machine is stored by its name any more */
  bind(id: string, { filter, visible, push }: Limits, isBound: boolean): void {
    this.#sql.exec(
      "UPDATE subscription SET identity = ?, visible = ?, push = ?, by_names = ? WHERE id = ?",
      filter.machine?.identity ?? null,
      visible === null ? null : JSON.stringify(visible),
      push === null ? null : JSON.stringify(push),
      isBound ? 0 : 1,
      id,
    );
  }

  secretsOf(id: string): SealedSecrets | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM subscription WHERE id = ?", id).toArray();
    return row === undefined ? null : { secret: row.secret, former: row.former, formerUntilMs: row.former_until_ms };
  }

  add(
    made: Pick<
      Subscription,
      "id" | "kind" | "client" | "credential" | "types" | "filter" | "visible" | "url" | "createdMs" | "expiresMs"
    > & { readonly push?: PushSettings },
    secret: string | null,
  ): void {
    this.#sql.exec(
      `INSERT INTO subscription (id, kind, client, credential, types, machine, identity, session, visible, url, created_ms, expires_ms, secret, push, by_names)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      made.id,
      made.kind,
      made.client,
      made.credential,
      made.types === null ? null : JSON.stringify(made.types),
      made.filter.machine?.name ?? null,
      made.filter.machine?.identity ?? null,
      made.filter.session,
      made.visible === null ? null : JSON.stringify(made.visible),
      made.url,
      made.createdMs,
      made.expiresMs,
      secret,
      made.push === undefined ? null : JSON.stringify(made.push),
      byNamesOf(made.push),
    );
  }

  /** What a person chose for one browser's notifications. */
  choose(id: string, types: readonly string[], push: PushSettings): void {
    const chosen = "UPDATE subscription SET types = ?, push = ?, by_names = ? WHERE id = ? AND kind = 'push'";
    this.#sql.exec(chosen, JSON.stringify(types), JSON.stringify(push), byNamesOf(push), id);
  }

  /** A refresh: a new life time, and deliveries go on if they were suspended. */
  refresh(id: string, expiresMs: number): void {
    this.#sql.exec("UPDATE subscription SET expires_ms = ? WHERE id = ?", expiresMs, id);
    this.resume(id);
  }

  rotate(id: string, secret: string, formerUntilMs: number): void {
    this.#sql.exec(
      "UPDATE subscription SET former = secret, former_until_ms = ?, secret = ? WHERE id = ?",
      formerUntilMs,
      secret,
      id,
    );
  }

  resume(id: string): void {
    this.#sql.exec("UPDATE subscription SET suspended_ms = NULL, failed_since_ms = NULL WHERE id = ?", id);
  }

  see(id: string, visible: readonly string[] | null): void {
    this.#sql.exec("UPDATE subscription SET visible = ? WHERE id = ?", visible === null ? null : JSON.stringify(visible), id); // prettier-ignore
  }

  delivered(id: string, nowMs: number): void {
    this.#sql.exec(
      "UPDATE subscription SET last_delivery_ms = ?, last_fault = NULL, failed_since_ms = NULL, suspended_ms = NULL WHERE id = ?",
      nowMs,
      id,
    );
  }

  failed(id: string, fault: DeliveryFault, nowMs: number): void {
    this.#sql.exec(
      "UPDATE subscription SET last_fault = ?, failed_since_ms = coalesce(failed_since_ms, ?) WHERE id = ?",
      fault,
      nowMs,
      id,
    );
  }

  suspend(id: string, nowMs: number): void {
    this.#sql.exec("UPDATE subscription SET suspended_ms = ? WHERE id = ?", nowMs, id);
  }

  markGap(id: string, hasGap: boolean): void {
    this.#sql.exec("UPDATE subscription SET gap = ? WHERE id = ?", hasGap ? 1 : 0, id);
  }

  end(id: string): void {
    this.#sql.exec("UPDATE subscription SET ended = 1 WHERE id = ?", id);
  }

  delete(id: string): void {
    this.#sql.exec("DELETE FROM subscription WHERE id = ?", id);
  }
}

/** Whether an event goes to a subscription. */
export function wants(subscription: Subscription, name: string, event: PlacedEvent): boolean {
  const { hasEnded, suspendedMs, push } = subscription;
  if (hasEnded || suspendedMs !== null || (push !== null && isOf(push.muted, event))) return false;
  return isAbout(subscription, name, event);
}

/** Whether an event is of one of these computers. */
function isOf(identities: readonly string[], { identity }: PlacedEvent): boolean {
  return identity !== null && identities.includes(identity);
}

/** What a subscription is about. */
export type Interest = Pick<Subscription, "types" | "filter" | "visible">;

/** Whether an event is what somebody subscribes to. */
export function isAbout({ types, filter, visible }: Interest, name: string, event: PlacedEvent): boolean {
  if (visible !== null && !isOf(visible, event)) return false;
  return types?.includes(name) !== false && passes(filter, event);
}

function subscriptionOf(row: Row): Subscription {
  return {
    id: row.id,
    kind: row.kind,
    client: row.client,
    credential: row.credential,
    types: row.types === null ? null : Names.parse(JSON.parse(row.types)),
    filter: {
      machine: row.machine === null ? null : { name: row.machine, identity: row.identity ?? "" },
      session: row.session,
    },
    visible: row.visible === null ? null : Names.parse(JSON.parse(row.visible)),
    url: row.url,
    createdMs: row.created_ms,
    expiresMs: row.expires_ms,
    hasEnded: row.ended === 1,
    suspendedMs: row.suspended_ms,
    failedSinceMs: row.failed_since_ms,
    lastDeliveryMs: row.last_delivery_ms,
    lastFault: row.last_fault,
    hasGap: row.gap === 1,
    push: pushIn(row),
  };
}

function pushIn({ push, by_names: hasNames }: Row): PushSettings | null {
  if (push === null) return null;
  const { muted, mutedNames, ...rest } = StoredPush.parse(JSON.parse(push));
  if (mutedNames !== undefined) return { ...rest, muted, mutedNames };
  return hasNames === 1 ? { ...rest, muted: [], mutedNames: muted } : { ...rest, muted, mutedNames: [] };
}

/** What `by_names` is for a subscription whose filter's computer is known. */
function byNamesOf(push: PushSettings | undefined): 0 | 1 {
  return push === undefined || push.mutedNames.length === 0 ? 0 : 1;
}
