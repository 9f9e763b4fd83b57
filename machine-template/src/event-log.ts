import { boundedSession } from "#protocol/bounded.ts";
import type { EventFrame } from "#protocol/control.ts";
import { EventBudget } from "#protocol/event-budget.ts";
import {
  DELTA_SUFFIX,
  DROPPED_TYPE,
  type EventDetail,
  type EventPage,
  type LoggedEvent,
  type LogPosition,
  type PushedEvent,
} from "#protocol/event.ts";
import {
  EVENT_LOG_AGE_MS,
  EVENT_LOG_ROWS,
  EVENT_PAGE_BYTES,
  EVENT_PAGE_ROWS,
  MAX_EVENT_BYTES,
  MAX_SESSION_ID_CHARACTERS,
  SCRIPT_EVENT_RATE,
} from "#protocol/limits.ts";
import type { KnownSession } from "#protocol/script-api.ts";

/** The log is trimmed after every so many events instead of after each one. */
const TRIM_EVERY = 500;

/** Sessions that `get_machine` shows. */
const KNOWN_SESSIONS = 100;

/**
 * The machine's own log in SQLite, bounded by rows and age.
 *
 *   event    the events; seq increases by one, data is JSON
 *   stream   the last sequence number stored of each connector's stream, so that a resent event is not stored twice
 *   session  the sessions that appeared in events
 *   log      one row: this log's epoch and the highest seq ever assigned, which must survive trimming all events
 *
 * Delivery is at least once on the wire (the connector resends what was not acknowledged) and exactly once in the log (the
 * `stream` table drops what is there already).
 */
export class EventLog {
  readonly #sql: SqlStorage;
  readonly #epoch: string;
  #newest: number;
  #sinceTrim = 0;
  readonly #budget = new EventBudget(SCRIPT_EVENT_RATE, Date.now());
  /** Events that were dropped since the last `events.dropped`. */
  #dropped = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, stored_ms INTEGER NOT NULL,
        type TEXT NOT NULL, session TEXT, data TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS stream (id TEXT PRIMARY KEY, acked INTEGER NOT NULL, used_ms INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, last_type TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS log (single INTEGER PRIMARY KEY CHECK (single = 1), epoch TEXT NOT NULL, newest INTEGER NOT NULL);
    `);
    sql.exec("INSERT OR IGNORE INTO log VALUES (1, ?, 0)", crypto.randomUUID().slice(0, 8));
    const row = sql.exec<{ epoch: string; newest: number }>("SELECT epoch, newest FROM log").one();
    this.#epoch = row.epoch;
    this.#newest = row.newest;
  }

  /** The position of the log's newest event. */
  get position(): LogPosition {
    return { epoch: this.#epoch, seq: this.#newest };
  }

  /** The last sequence number stored of a connector's stream; 0 if there is none. */
  acked(stream: string): number {
    const [row] = this.#sql.exec<{ acked: number }>("SELECT acked FROM stream WHERE id = ?", stream).toArray();
    return row?.acked ?? 0;
  }

  /**
   * Stores those of a connector's events that are new, in order, and returns the last sequence number stored of its stream.
   * Events beyond `SCRIPT_EVENT_RATE` are dropped but still acknowledged, because the connector would otherwise send them
   * again. An `events.dropped` event with their number precedes the next event that is stored.
   */
  store(stream: string, { first, events }: EventFrame): number {
    const acked = this.acked(stream);
    // A gap in the connector's sequence means that its spool has lost events. The others are stored all the same.
    const fresh = events.filter((_, index) => first + index > acked);
    if (fresh.length === 0) return acked;
    const last = first + events.length - 1;
    const now = Date.now();
    const taken = this.#budget.take(fresh.length, now);
    if (taken > 0 && this.#dropped > 0) {
      this.append([{ atMs: now, type: DROPPED_TYPE, session: null, data: { count: this.#dropped } }]);
      this.#dropped = 0;
    }
    this.append(fresh.slice(0, taken));
    this.#dropped += fresh.length - taken;
    this.#sql.exec("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", stream, last, Date.now());
    return last;
  }

  append(events: readonly PushedEvent[]): void {
    const now = Date.now();
    for (const event of events) {
      const session = boundedSession(event.session);
      this.#newest += 1;
      this.#sql.exec(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
        this.#newest,
        event.atMs,
        now,
        event.type,
        session,
        dataOf(event),
      );
      if (session !== null) this.#note(session, event);
    }
    this.#sql.exec("UPDATE log SET newest = ?", this.#newest);
    this.#sinceTrim += events.length;
    if (this.#sinceTrim >= TRIM_EVERY) this.trim(now);
  }

  /** Events after a position, of one session or of all. Without a position: no events, and the position of the newest one. */
  page(after: LogPosition | null, session: string | null, detail: EventDetail): EventPage {
    if (after === null) return { events: [], position: this.position, gap: false, more: false };
    const isOurs = after.epoch === this.#epoch && after.seq <= this.#newest;
    const from = isOurs ? after.seq : 0;
    const [oldest] = this.#sql.exec<{ seq: number | null }>("SELECT min(seq) AS seq FROM event").toArray();
    const trimmed = from < (oldest?.seq ?? this.#newest + 1) - 1;
    const rows = this.#sql
      .exec<Row>(
        "SELECT seq, at_ms, type, session, data FROM event WHERE seq > ? AND (?2 IS NULL OR session = ?2) AND (?3 OR type NOT LIKE ?4) ORDER BY seq LIMIT ?5",
        from,
        session,
        detail === "deltas" ? 1 : 0,
        `%${DELTA_SUFFIX}`,
        EVENT_PAGE_ROWS + 1,
      )
      .toArray();
    const events = withinPage(rows);
    const more = events.length < rows.length;
    const seq = more ? (events.at(-1)?.seq ?? from) : this.#newest;
    return { events, position: { epoch: this.#epoch, seq }, gap: !isOurs || trimmed, more };
  }

  /** The next page of the whole log, for a machine that was renamed and therefore gets another script. Empty at the end of the log. */
  copy(afterSeq: number): LoggedEvent[] {
    const rows = this.#sql.exec<Row>(
      "SELECT seq, at_ms, type, session, data FROM event WHERE seq > ? ORDER BY seq LIMIT ?",
      afterSeq,
      EVENT_PAGE_ROWS,
    );
    return withinPage(rows.toArray());
  }

  sessions(): KnownSession[] {
    const rows = this.#sql.exec<{ id: string; first_ms: number; last_ms: number; last_type: string }>(
      "SELECT * FROM session WHERE length(id) <= ? ORDER BY last_ms DESC LIMIT ?",
      MAX_SESSION_ID_CHARACTERS,
      KNOWN_SESSIONS,
    );
    return rows
      .toArray()
      .map((row) => ({ id: row.id, firstMs: row.first_ms, lastMs: row.last_ms, lastType: row.last_type }));
  }

  /** Deletes what exceeds the limits of rows and age. */
  trim(now: number): void {
    this.#sinceTrim = 0;
    this.#sql.exec(
      "DELETE FROM event WHERE seq <= ? OR stored_ms < ?",
      this.#newest - EVENT_LOG_ROWS,
      now - EVENT_LOG_AGE_MS,
    );
    this.#sql.exec("DELETE FROM stream WHERE used_ms < ?", now - 4 * EVENT_LOG_AGE_MS);
    this.#sql.exec("DELETE FROM session WHERE last_ms < ?", now - 4 * EVENT_LOG_AGE_MS);
  }

  #note(session: string, event: PushedEvent): void {
    this.#sql.exec(
      `INSERT INTO session VALUES (?1, ?2, ?2, ?3)
       ON CONFLICT (id) DO UPDATE SET last_ms = max(last_ms, excluded.last_ms), last_type = excluded.last_type`,
      session,
      event.atMs,
      event.type,
    );
  }
}

type Row = { seq: number; at_ms: number; type: string; session: string | null; data: string };

/** The first of these events, as many as one page may hold, and at least one. */
function withinPage(rows: readonly Row[]): LoggedEvent[] {
  const events: LoggedEvent[] = [];
  let bytes = 0;
  for (const row of rows) {
    bytes += row.data.length + row.type.length + (row.session?.length ?? 0);
    if (events.length === EVENT_PAGE_ROWS || (bytes > EVENT_PAGE_BYTES && events.length > 0)) break;
    events.push(eventOf(row));
  }
  return events;
}

function eventOf(row: Row): LoggedEvent {
  return { seq: row.seq, atMs: row.at_ms, type: row.type, session: row.session, data: JSON.parse(row.data) };
}

/** The event's data as JSON. Data that is too large is replaced by its size, so that one event cannot fill the log. */
function dataOf(event: PushedEvent): string {
  const json = JSON.stringify(event.data ?? null);
  return json.length <= MAX_EVENT_BYTES ? json : JSON.stringify({ truncated: true, bytes: json.length });
}
