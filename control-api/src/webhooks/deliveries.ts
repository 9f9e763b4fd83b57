import { columnsOf } from "../columns.ts";
import type { DeliveryFault } from "../mcp-events/events-error.ts";
import type { Renamed } from "../user/follower.ts";

/**
 * A message for a receiver. `before` and `after` are the positions of the log around its event; a control message has the position
 * up to which the receiver knows everything.
 */
export type Delivery = {
  readonly id: number;
  readonly subscription: string;
  /** The message's id at the receiver: the event's, or that of a control message. It stays the same over all attempts. */
  readonly message: string;
  readonly isControl: boolean;
  /** JSON: an `Occurrence`, or the control message itself. */
  readonly content: string;
  readonly before: string;
  readonly after: string;
  readonly attempts: number;
  /** `null` for a control message, and if nobody knows. */
  readonly about: About | null;
};

/**
 * What an event in the queue is about. `session` is a handle. `identity`: the computer that it came from, which may not be the one that has the
 * machine's name now; `null` if that is not known.
 */
export type About = { readonly machine: string; readonly session: string | null; readonly identity: string | null };

/** A delivery that was given up. */
export type DeadLetter = {
  readonly id: number;
  readonly subscription: string;
  readonly message: string;
  readonly createdMs: number;
  readonly deadMs: number;
  readonly attempts: number;
  readonly fault: DeliveryFault;
};

type Row = {
  id: number;
  subscription: string;
  message: string;
  control: number;
  content: string;
  before: string;
  after: string;
  created_ms: number;
  attempts: number;
  next_ms: number;
  dead_ms: number | null;
  fault: DeliveryFault | null;
  machine: string | null;
  session: string | null;
  identity: string | null;
};

/** The queue of one person's deliveries, and those that were given up. A row is deleted when its receiver has taken the message. */
export class Deliveries {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS delivery (id INTEGER PRIMARY KEY AUTOINCREMENT, subscription TEXT NOT NULL, message TEXT NOT NULL,
        control INTEGER NOT NULL, content TEXT NOT NULL, before TEXT NOT NULL, after TEXT NOT NULL, created_ms INTEGER NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0, next_ms INTEGER NOT NULL, dead_ms INTEGER, fault TEXT);
      CREATE INDEX IF NOT EXISTS delivery_due ON delivery (subscription, next_ms) WHERE dead_ms IS NULL`);
    const columns = columnsOf(sql, "delivery");
    if (!columns.has("machine")) this.#addAbout();
    if (!columns.has("identity")) sql.exec("ALTER TABLE delivery ADD COLUMN identity TEXT");
  }

  /**
   * A database of version 0.4 says only in the content what a message is about. SQLite does not read JSON that is nested deeper than 1,000
   * levels, and a machine can write such an event.
   */
  #addAbout(): void {
    this.#sql.exec("ALTER TABLE delivery ADD COLUMN machine TEXT");
    this.#sql.exec("ALTER TABLE delivery ADD COLUMN session TEXT");
    this.#sql.exec(
      `UPDATE delivery SET machine = content ->> '$.data.machine', session = content ->> '$.data.session'
       WHERE control = 0 AND json_valid(content)`,
    );
  }

  add(delivery: Omit<Delivery, "id" | "attempts">, nowMs: number): void {
    this.#sql.exec(
      `INSERT INTO delivery (subscription, message, control, content, before, after, created_ms, next_ms, machine, session, identity)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      delivery.subscription,
      delivery.message,
      delivery.isControl ? 1 : 0,
      delivery.content,
      delivery.before,
      delivery.after,
      nowMs,
      nowMs,
      delivery.about?.machine ?? null,
      delivery.about?.session ?? null,
      delivery.about?.identity ?? null,
    );
  }

  /** How many wait: for one subscription, or for all. */
  pending(subscription: string | null): number {
    return this.#sql
      .exec<{ count: number }>(
        "SELECT count(*) AS count FROM delivery WHERE dead_ms IS NULL AND (?1 IS NULL OR subscription = ?1)",
        subscription,
      )
      .one().count;
  }

  /** A subscription's oldest message that may be sent now. A message that waits for its next attempt does not hold up later ones. */
  due(subscription: string, nowMs: number): Delivery | null {
    const [row] = this.#sql
      .exec<Row>(
        "SELECT * FROM delivery WHERE subscription = ? AND dead_ms IS NULL AND next_ms <= ? ORDER BY id LIMIT 1",
        subscription,
        nowMs,
      )
      .toArray();
    return row === undefined ? null : deliveryOf(row);
  }

  /** A subscription's oldest message, whether or not it may be sent now. */
  oldest(subscription: string): Delivery | null {
    const [row] = this.#sql
      .exec<Row>("SELECT * FROM delivery WHERE subscription = ? AND dead_ms IS NULL ORDER BY id LIMIT 1", subscription)
      .toArray();
    return row === undefined ? null : deliveryOf(row);
  }

  /** When the next message may be sent, of subscriptions that are not suspended. */
  nextMs(): number | null {
    return this.#sql
      .exec<{ next: number | null }>(
        `SELECT min(next_ms) AS next FROM delivery JOIN subscription s ON s.id = delivery.subscription
         WHERE dead_ms IS NULL AND s.suspended_ms IS NULL`,
      )
      .one().next;
  }

  retry(id: number, attempts: number, nextMs: number, fault: DeliveryFault): void {
    this.#sql.exec(
      "UPDATE delivery SET attempts = ?, next_ms = ?, fault = ? WHERE id = ?",
      attempts,
      nextMs,
      fault,
      id,
    );
  }

  /** One message may be sent only then. That is no failure. */
  delay(id: number, untilMs: number): void {
    this.#sql.exec("UPDATE delivery SET next_ms = ? WHERE id = ?", untilMs, id);
  }

  bury(id: number, attempts: number, nowMs: number, fault: DeliveryFault, keep: number): void {
    this.#sql.exec("UPDATE delivery SET attempts = ?, dead_ms = ?, fault = ? WHERE id = ?", attempts, nowMs, fault, id);
    this.#sql.exec(
      "DELETE FROM delivery WHERE id IN (SELECT id FROM delivery WHERE dead_ms IS NOT NULL ORDER BY dead_ms DESC, id DESC LIMIT -1 OFFSET ?)",
      keep,
    );
  }

  /** Given-up deliveries of a subscription are tried again. Answers how many. */
  revive(subscription: string, nowMs: number): number {
    return this.#sql
      .exec(
        "UPDATE delivery SET dead_ms = NULL, attempts = 0, next_ms = ? WHERE subscription = ? AND dead_ms IS NOT NULL RETURNING id",
        nowMs,
        subscription,
      )
      .toArray().length;
  }

  /** All that wait for a subscription may be sent now. */
  hurry(subscription: string, nowMs: number): void {
    this.#sql.exec("UPDATE delivery SET next_ms = ? WHERE subscription = ? AND dead_ms IS NULL AND next_ms > ?", nowMs, subscription, nowMs); // prettier-ignore
  }

  /** None that waits for a subscription may be sent before `ms`. */
  postpone(subscription: string, ms: number): void {
    this.#sql.exec("UPDATE delivery SET next_ms = ? WHERE subscription = ? AND dead_ms IS NULL AND next_ms < ?", ms, subscription, ms); // prettier-ignore
  }

  dead(): DeadLetter[] {
    return this.#sql
      .exec<Omit<Row, "content" | "before" | "after" | keyof About>>(
        // Not their contents: all of them have 50 MB at most.
        `SELECT id, subscription, message, control, created_ms, attempts, next_ms, dead_ms, fault FROM delivery
         WHERE dead_ms IS NOT NULL ORDER BY dead_ms DESC, id DESC`,
      )
      .toArray()
      .map((row) => ({
        id: row.id,
        subscription: row.subscription,
        message: row.message,
        createdMs: row.created_ms,
        deadMs: row.dead_ms ?? 0,
        attempts: row.attempts,
        fault: row.fault ?? "connection_refused",
      }));
  }

  deleteDeadBefore(ms: number): void {
    this.#sql.exec("DELETE FROM delivery WHERE dead_ms < ?", ms);
  }

  /**
   * Deletes the messages about a machine, or about one session of it, by its handle, as far as they came from one of these computers: the name may
   * have had others. With them go those of which nobody knows what they are about.
   */
  forget(machine: string, session: string | null, computers: readonly string[]): void {
    this.#sql.exec(
      `DELETE FROM delivery WHERE control = 0
       AND (machine IS NULL OR (machine = ?1 AND (?2 IS NULL OR session = ?2)
         AND (identity IS NULL OR identity IN (SELECT value FROM json_each(?3)))))`,
      machine,
      session,
      JSON.stringify(computers),
    );
  }

  /** Messages about a renamed machine are about the same computer: they are found by its new name. What they say stays as it was. */
  rename({ from, to, identity }: Renamed): void {
    this.#sql.exec(
      `UPDATE delivery SET machine = ?2, session = ?2 || substr(session, length(?1) + 1)
       WHERE machine = ?1 AND (identity IS NULL OR identity = ?3)`,
      from,
      to,
      identity,
    );
  }

  delete(id: number): void {
    this.#sql.exec("DELETE FROM delivery WHERE id = ?", id);
  }

  deleteOf(subscription: string): void {
    this.#sql.exec("DELETE FROM delivery WHERE subscription = ?", subscription);
  }
}

function deliveryOf(row: Row): Delivery {
  const { id, subscription, message, content, before, after, attempts, machine, session, identity } = row;
  const about = machine === null ? null : { machine, session, identity };
  return { id, subscription, message, isControl: row.control === 1, content, before, after, attempts, about };
}
