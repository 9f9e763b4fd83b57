import { eventData } from "#protocol/event-data.ts";
import { boundedSession } from "#protocol/bounded.ts";
import type { EventFrame } from "#protocol/control.ts";
import { TokenBucket } from "#protocol/token-bucket.ts";
import {
  DELTA_SUFFIX,
  DROPPED_TYPE,
  type EventDetail,
  type EventPage,
  type EventPush,
  type LoggedEvent,
  type LogPosition,
  type PushedEvent,
} from "#protocol/event.ts";
import {
  EVENT_LOG_AGE_MS,
  EVENT_LOG_BYTES,
  EVENT_LOG_ROWS,
  EVENT_PAGE_BYTES,
  EVENT_PAGE_ROWS,
  FIRST_PUSHED_ROWS,
  MAX_SESSION_ID_CHARACTERS,
  MOVED_LOG_LEAP,
  SCRIPT_EVENT_RATE,
} from "#protocol/limits.ts";
import type { KnownSession, LogNumbers } from "#protocol/script-api.ts";

/** Types of events that the script itself writes: what it knows of its link. A machine cannot speak in its place. */
const OWN_TYPE = /^(?:machine|link)\./;

/** The type under which such an event of a machine is kept. */
const REPORTED_TYPE = "reported";

/** The log is trimmed after every so many events instead of after each one. */
const TRIM_EVERY = 500;

/** The log is weighed after every so many characters of data, since that reads the heads of all rows. */
const WEIGH_EVERY = EVENT_LOG_BYTES / 4;

/** Sessions that `get_machine` shows. No others are kept: a machine names as many as it likes, and dates them as it likes. */
const KNOWN_SESSIONS = 100;

/** Streams that are kept, the last used. A connector opens another one when it has lost its spool. */
const KNOWN_STREAMS = 100;

/**
 * The machine's own log in SQLite, bounded by rows, bytes and age.
 *
 *   event    the events; seq increases by one, data is JSON
 *   stream   the last sequence number stored of each connector's stream, so that a resent event is not stored twice
 *   session  the sessions that appeared in events
 *   log      one row: this log's epoch, the highest seq ever assigned, which must survive trimming all events, up to which
 *            seq the events were pushed to the owner's object, and how much was added since the log was weighed
 *
 * Delivery is at least once on the wire (the connector resends what was not acknowledged) and exactly once in the log (the
 * `stream` table drops what is there already).
 */
export class EventLog {
  readonly #sql: SqlStorage;
  #epoch: string;
  #newest: number;
  /**
   * The owner's object has the events up to here. It is written together with `newest` by the next event, which costs nothing,
   * and not by itself: after a restart a few events may be pushed again, and the object drops what it has.
   */
  #pushed: number;
  /** The newest event that is not a piece of an unfinished message. */
  #newestCoarse: number;
  #sinceTrim = 0;
  /** Characters of data that were added since the log was weighed. Stored: a script may hibernate before it is time to weigh again. */
  #unweighed: number;
  readonly #budget = new TokenBucket(SCRIPT_EVENT_RATE, Date.now());
  /** Events that were dropped since the last `events.dropped`. */
  #dropped = 0;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS event (seq INTEGER PRIMARY KEY, at_ms INTEGER NOT NULL, stored_ms INTEGER NOT NULL,
        type TEXT NOT NULL, session TEXT, data TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS stream (id TEXT PRIMARY KEY, acked INTEGER NOT NULL, used_ms INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS session (id TEXT PRIMARY KEY, first_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL, last_type TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS log (single INTEGER PRIMARY KEY CHECK (single = 1), epoch TEXT NOT NULL, newest INTEGER NOT NULL,
        pushed INTEGER NOT NULL DEFAULT 0, unweighed INTEGER NOT NULL DEFAULT 0);
    `);
    // Logs of version 0.2 were never pushed.
    const columns = sql.exec<{ name: string }>("SELECT name FROM pragma_table_info('log')").toArray();
    if (!columns.some(({ name }) => name === "pushed")) {
      sql.exec("ALTER TABLE log ADD COLUMN pushed INTEGER NOT NULL DEFAULT 0");
      sql.exec(
        "UPDATE log SET pushed = coalesce((SELECT seq FROM event ORDER BY seq DESC LIMIT 1 OFFSET ?), 0)",
        FIRST_PUSHED_ROWS,
      );
    }
    // Logs of version 0.4 were never weighed.
    if (!columns.some(({ name }) => name === "unweighed"))
      sql.exec(`ALTER TABLE log ADD COLUMN unweighed INTEGER NOT NULL DEFAULT ${WEIGH_EVERY}`);
    sql.exec("INSERT OR IGNORE INTO log (single, epoch, newest) VALUES (1, ?, 0)", crypto.randomUUID().slice(0, 8));
    const row = sql
      .exec<{ epoch: string; newest: number; pushed: number; unweighed: number }>("SELECT * FROM log")
      .one();
    this.#epoch = row.epoch;
    this.#newest = row.newest;
    this.#pushed = row.pushed;
    this.#unweighed = row.unweighed;
    const [coarse] = sql
      .exec<{ seq: number }>(
        "SELECT seq FROM event WHERE type NOT LIKE ? ORDER BY seq DESC LIMIT 1",
        `%${DELTA_SUFFIX}`,
      )
      .toArray();
    this.#newestCoarse = coarse?.seq ?? 0;
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
    const taken = this.#budget.takeUpTo(fresh.length, now);
    if (taken > 0 && this.#dropped > 0) {
      this.append([{ atMs: now, type: DROPPED_TYPE, session: null, data: { count: this.#dropped } }]);
      this.#dropped = 0;
    }
    this.append(
      fresh.slice(0, taken).map((event) => (OWN_TYPE.test(event.type) ? { ...event, type: REPORTED_TYPE } : event)),
    );
    this.#dropped += fresh.length - taken;
    this.#sql.exec("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", stream, last, Date.now());
    return last;
  }

  append(events: readonly PushedEvent[]): void {
    const now = Date.now();
    for (const event of events) {
      const session = boundedSession(event.session);
      this.#newest += 1;
      if (!event.type.endsWith(DELTA_SUFFIX)) this.#newestCoarse = this.#newest;
      const data = eventData(event.data);
      this.#unweighed += data.length;
      this.#sql.exec(
        "INSERT INTO event VALUES (?, ?, ?, ?, ?, ?)",
        this.#newest,
        event.atMs,
        now,
        event.type,
        session,
        data,
      );
      if (session !== null) this.#note(session, event);
    }
    this.#writeNumbers();
    this.#sinceTrim += events.length;
    if (this.#sinceTrim >= TRIM_EVERY || this.#unweighed >= WEIGH_EVERY) this.trim(now);
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

  /** Whether there are events that the owner's object does not have yet. */
  hasUnpushed(detail: EventDetail): boolean {
    return this.#pushed < (detail === "deltas" ? this.#newest : this.#newestCoarse);
  }

  /** The page that must be pushed next. Without new events it is empty and only says up to where the log was pushed. */
  unpushed(detail: EventDetail): EventPush {
    const { events, ...page } = this.page({ epoch: this.#epoch, seq: this.#pushed }, null, detail);
    // Logs of old versions may hold longer session ids, which the owner's object would refuse.
    const bounded = events.map((event) => ({ ...event, session: boundedSession(event.session) }));
    return { ...page, after: this.#pushed, events: bounded };
  }

  /**
   * The owner's object has the events up to `seq`. That may be before what it had earlier, if its database was restored or lost. If
   * it is after this log's end, this log itself was restored from an older copy: the numbers from there on already stand for other
   * events, so what was not pushed yet gets new ones.
   */
  markPushed(seq: number): void {
    if (seq > this.#newest) this.#renumber(seq + MOVED_LOG_LEAP - this.#pushed);
    this.#pushed = seq;
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

  /** What another script needs in order to continue this log under its numbers. */
  numbers(): LogNumbers {
    const streams = this.#sql.exec<{ id: string; acked: number }>("SELECT id, acked FROM stream").toArray();
    return { position: this.position, pushed: this.#pushed, streams };
  }

  /**
   * Continues the log of another script. Only a log without any connector's events can do so: this one is then new. New events
   * get numbers after those that the other script may still assign, and the events that are copied next keep theirs.
   */
  continue({ position, pushed, streams }: LogNumbers): void {
    if (this.#sql.exec("SELECT 1 FROM stream LIMIT 1").toArray().length > 0 || this.#epoch === position.epoch) return;
    this.#sql.exec("DELETE FROM event");
    this.#epoch = position.epoch;
    this.#newest = position.seq + MOVED_LOG_LEAP;
    this.#pushed = pushed;
    for (const { id, acked } of streams)
      this.#sql.exec("INSERT OR REPLACE INTO stream VALUES (?, ?, ?)", id, acked, Date.now());
    this.#writeNumbers();
  }

  /**
   * Takes in a page of another script's log. In a log that continues it the events keep their numbers, so a repeated page changes
   * nothing; in any other they get new ones.
   */
  take(events: readonly LoggedEvent[]): void {
    for (const event of events) {
      if (event.seq > this.#newest) {
        this.append([event]);
        continue;
      }
      const session = boundedSession(event.session);
      const { rowsWritten } = this.#sql.exec(
        "INSERT OR IGNORE INTO event VALUES (?, ?, ?, ?, ?, ?)",
        event.seq,
        event.atMs,
        Date.now(),
        event.type,
        session,
        eventData(event.data),
      );
      if (rowsWritten > 0 && session !== null) this.#note(session, event);
      if (!event.type.endsWith(DELTA_SUFFIX)) this.#newestCoarse = Math.max(this.#newestCoarse, event.seq);
    }
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

  /** Deletes the events of a session, or all (`null`). Numbers and the connectors' streams stay, so nothing comes back. */
  forget(session: string | null): void {
    this.#sql.exec("DELETE FROM event WHERE ?1 IS NULL OR session = ?1", session);
    this.#sql.exec("DELETE FROM session WHERE ?1 IS NULL OR id = ?1", session);
  }

  /** Deletes what exceeds the limits of rows, bytes and age. Age alone would limit nothing: it is that of the machine's clock, or a flood is young. */
  trim(now: number): void {
    this.#sinceTrim = 0;
    this.#sql.exec(
      "DELETE FROM event WHERE seq <= ? OR stored_ms < ?",
      this.#newest - EVENT_LOG_ROWS,
      now - EVENT_LOG_AGE_MS,
    );
    if (this.#unweighed >= WEIGH_EVERY) this.#weigh();
    this.#sql.exec("DELETE FROM stream WHERE used_ms < ?", now - 4 * EVENT_LOG_AGE_MS);
    this.#sql.exec("DELETE FROM session WHERE last_ms < ?", now - 4 * EVENT_LOG_AGE_MS);
    this.#sql.exec(
      "DELETE FROM stream WHERE id NOT IN (SELECT id FROM stream ORDER BY used_ms DESC, rowid DESC LIMIT ?)",
      KNOWN_STREAMS,
    );
    this.#sql.exec(
      "DELETE FROM session WHERE id NOT IN (SELECT id FROM session ORDER BY last_ms DESC, rowid DESC LIMIT ?)",
      KNOWN_SESSIONS,
    );
  }

  /** Deletes the oldest events if all together are too large. Sizes are in the rows' heads, so the data itself is not read. */
  #weigh(): void {
    this.#sql.exec(
      `DELETE FROM event WHERE seq <= (SELECT seq FROM
       (SELECT seq, sum(octet_length(data)) OVER (ORDER BY seq DESC) AS bytes FROM event) WHERE bytes > ? ORDER BY seq DESC LIMIT 1)`,
      EVENT_LOG_BYTES,
    );
    this.#unweighed = 0;
    this.#writeNumbers();
  }

  /** Moves the numbers of all events that were not pushed yet. In two steps, since no two rows may have the same one. */
  #renumber(by: number): void {
    this.#sql.exec("UPDATE event SET seq = -(seq + ?) WHERE seq > ?", by, this.#pushed);
    this.#sql.exec("UPDATE event SET seq = -seq WHERE seq < 0");
    this.#newest += by;
    if (this.#newestCoarse > this.#pushed) this.#newestCoarse += by;
  }

  #writeNumbers(): void {
    this.#sql.exec(
      "UPDATE log SET epoch = ?, newest = ?, pushed = ?, unweighed = ?",
      this.#epoch,
      this.#newest,
      Math.min(this.#pushed, this.#newest),
      this.#unweighed,
    );
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
