import { utf8 } from "#protocol/bytes.ts";
import { eventData } from "#protocol/event-data.ts";
import { noteWithin } from "#protocol/keep-within.ts";
import { TokenBucket } from "#protocol/token-bucket.ts";
import { DELTA_SUFFIX, type EventPush, type LogPosition } from "#protocol/event.ts";
import { EVENT_PAGE_BYTES, EVENT_PAGE_ROWS, SCRIPT_EVENT_RATE } from "#protocol/limits.ts";
import type { Identified } from "../http/shown-machine.ts";
import type { EventQuery, EventsRead, EventsRefused, StoredEvent } from "./event-query.ts";
import {
  DELIVERY_PREFIX,
  FIRST_HISTORY,
  HEARD_MACHINES,
  LOG_BYTES,
  MACHINE_BYTES,
  MACHINE_ROWS,
  NOTICE_PREFIX,
  OPERATOR,
  RECENT_EVENTS,
  SEQUENCE_BLOCK,
  TRIM_AGE_MS,
  TRIM_BYTES,
  TRIM_ROWS,
} from "./limits.ts";
import { LivePieces } from "./live-pieces.ts";
import { IDENTITY, LogMachines, type LogState } from "./log-machine.ts";
import { DAY_MS, type Retention, type RetentionEffect, RetentionSetting } from "./retention.ts";

/** An event that a push has added, for those who wait for it. */
export type AddedEvent = {
  readonly seq: number;
  readonly machine: number;
  readonly type: string;
  readonly session: string | null;
  readonly atMs: number;
  readonly data: unknown;
};

/** The effect of a push: up to which number of its machine's log the events are stored now, and which of them are new. */
export type Pushed = { readonly stored: number; readonly machine: number; readonly added: readonly AddedEvent[] };

const EPOCH_DIGITS = 8;

/**
 * The machines that a poll is about. `ids`: `null` for all. `unheard`: identities of computers that had not told anything yet, and so have
 * no id before their first event. `unknown`: the name of a machine like that of which nobody knows which computer it is. `computer`: the one
 * that was asked for, if it is known.
 */
export type Reach = {
  readonly ids: readonly number[] | null;
  readonly unheard: readonly string[];
  readonly unknown: string | null;
  readonly computer: string | null;
};

/** A query whose names were looked up. */
type Filter = Omit<EventQuery, "visible" | "machine" | "before" | "waitMs" | "after"> & {
  readonly ids: readonly number[] | null;
};

type Row = {
  seq: number;
  name: string;
  machine_seq: number;
  at_ms: number;
  type: string;
  session: string | null;
  data: string;
  identity: string | null;
};

/** The columns of a `Row`. */
const COLUMNS = `seq, m.name, machine_seq, at_ms, type, session, data, ${IDENTITY} AS identity
  FROM log_event JOIN log_machine m ON m.id = log_event.machine`;

/**
 * One log of everything that happened on a person's machines, with one sequence in the order of arrival.
 *
 *   log_event  the events; data is JSON. The only index is the sequence itself, so an event costs one row
 *   session    the sessions named by events (session-index.ts)
 *   log_state  one row: this log's epoch, which cursors name, and up to where sequence numbers are reserved
 *
 * The machines' own logs are the sources, and number their events. A push is stored once, because the log knows up to which number
 * it has each machine's log, whatever happens to the link, the script, the machine's clock or its name.
 */
export class MergedLog {
  readonly machines: LogMachines;
  readonly #sql: SqlStorage;
  readonly #retention: RetentionSetting;
  readonly #pieces = new LivePieces();
  readonly #budgets = new Map<number, TokenBucket>();
  readonly #maxBytes: number;
  readonly #epoch: string;
  #newest: number;
  #reserved: number;
  #rows: number;
  #bytes: number;
  #trimmedAgeMs = 0;

  /**
   * @param maxBytes data of all machines' events that is kept
   * @param restored the id of the last restore of a backup (UUID), if there was one. What was told after that backup is not here, and its numbers
   *   will be given again, so the log has another epoch
   */
  constructor(sql: SqlStorage, maxBytes = LOG_BYTES, restored = "") {
    this.#sql = sql;
    this.#maxBytes = maxBytes;
    this.machines = new LogMachines(sql);
    this.#retention = new RetentionSetting(sql);
    sql.exec(`
      CREATE TABLE IF NOT EXISTS log_event (seq INTEGER PRIMARY KEY, machine INTEGER NOT NULL, machine_seq INTEGER NOT NULL,
        at_ms INTEGER NOT NULL, stored_ms INTEGER NOT NULL, type TEXT NOT NULL, session TEXT, data TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS log_state (single INTEGER PRIMARY KEY CHECK (single = 1), epoch TEXT NOT NULL, reserved INTEGER NOT NULL);
    `);
    sql.exec("INSERT OR IGNORE INTO log_state VALUES (1, ?, 0)", crypto.randomUUID().slice(0, EPOCH_DIGITS));
    const state = sql.exec<{ epoch: string; reserved: number }>("SELECT epoch, reserved FROM log_state").one();
    this.#epoch = restored === "" ? state.epoch : mixed(state.epoch, restored);
    this.#newest = state.reserved;
    this.#reserved = state.reserved;
    const { rows, bytes } = this.machines.total();
    this.#rows = rows;
    this.#bytes = bytes;
  }

  /** The position after the newest event. */
  get position(): LogPosition {
    return { epoch: this.#epoch, seq: this.#newest };
  }

  /**
   * Stores what is new in a push. `end` is where the machine's log ends; the push may hold a part of it.
   *
   * A push that does not follow what is stored changes nothing, and the answer says where the script has to go on from. A log that
   * was never seen is taken from where the script begins. If that is not its beginning, this log was lost, and gets back some of
   * what it had.
   */
  push(slug: string, name: string, push: EventPush, end: number, nowMs: number): Pushed {
    // A machine gets a row with its first event, so that one which never said anything leaves nothing behind.
    if (push.events.length === 0 && !this.machines.has(slug))
      return { stored: push.position.seq, machine: 0, added: [] };
    const machine = this.machines.of(slug, name);
    const { epoch } = push.position;
    const stored =
      this.machines.storedOf(machine, epoch) ??
      this.#begin(machine, epoch, Math.min(push.after, end - FIRST_HISTORY), nowMs);
    const isFormer = this.machines.of(slug, name).epoch !== epoch;
    const to = Math.max(push.position.seq, push.events.at(-1)?.seq ?? 0);
    // A former log has been given up with all that it still held. Its script must not repeat it.
    if (isFormer) return { stored: to, machine: machine.id, added: [] };
    if (push.after > stored || to <= stored || isDisordered(push)) return { stored, machine: machine.id, added: [] };
    if (push.gap) this.machines.markGap(machine.id, this.#next());
    const fresh = push.events.filter(({ seq }) => seq > stored);
    const budget = this.#budgets.get(machine.id) ?? new TokenBucket(SCRIPT_EVENT_RATE, nowMs);
    noteWithin(this.#budgets, HEARD_MACHINES, machine.id, budget);
    const taken = budget.takeUpTo(fresh.length, nowMs);
    const added: AddedEvent[] = [];
    let [rows, bytes] = [0, 0];
    for (const event of fresh.slice(0, taken)) {
      const seq = this.#next();
      const data = eventData(event.data);
      const { seq: machineSeq, atMs, session } = event;
      const type = typeOf(event.type, slug);
      added.push({ seq, machine: machine.id, type, session, atMs, data: event.data });
      if (type.endsWith(DELTA_SUFFIX)) {
        this.#pieces.add({ seq, machine: machine.id, machineSeq, atMs, type, session, data });
        continue;
      }
      this.#sql.exec(
        "INSERT INTO log_event VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        seq,
        machine.id,
        machineSeq,
        atMs,
        nowMs,
        type,
        session,
        data,
      );
      rows += 1;
      bytes += utf8(data).byteLength;
    }
    // A script limits its machine already, so only a broken or hostile script gets here.
    if (taken < fresh.length) this.machines.markGap(machine.id, this.#next());
    this.#rows += rows;
    this.#bytes += bytes;
    this.machines.add(machine.id, to, rows, bytes);
    if (rows > 0) this.#trim(machine.id, nowMs);
    return { stored: to, machine: machine.id, added };
  }

  /**
   * Adds an event of Operator's own about a machine, beside those of the machine's log. It has no number there. Answers it for those who
   * wait, or `null` for a machine that never told anything and is not in the log.
   */
  addOwn(about: Identified, type: string, session: string | null, data: unknown, nowMs: number): AddedEvent | null {
    const machine = this.machines.identified(about);
    if (machine === null) return null;
    const seq = this.#next();
    const json = eventData(data);
    this.#sql.exec(
      "INSERT INTO log_event VALUES (?, ?, 0, ?, ?, ?, ?, ?)",
      seq,
      machine.id,
      nowMs,
      nowMs,
      type,
      session,
      json,
    );
    const bytes = utf8(json).byteLength;
    this.#rows += 1;
    this.#bytes += bytes;
    this.machines.grow(machine.id, 1, bytes);
    this.#trim(machine.id, nowMs);
    return { seq, machine: machine.id, type, session, atMs: nowMs, data };
  }

  /** The events after a query's position that it asks for. Without a position: from `RECENT_EVENTS` before the end. */
  read(query: EventQuery, reach: Reach): EventsRead | EventsRefused {
    const filter = this.#filterOf(query, reach);
    if (query.after !== null && !this.#isOurs(query.after)) return { refused: "cursor_expired" };
    const from = query.after?.seq ?? this.#beginning(filter);
    const rows = this.#rowsAfter(from, filter);
    const found = this.#withPieces(rows, from, filter);
    const events: StoredEvent[] = [];
    let characters = 0;
    for (const event of found) {
      characters += event.data.length;
      if (events.length === EVENT_PAGE_ROWS || (characters > EVENT_PAGE_BYTES && events.length > 0)) break;
      events.push(event);
    }
    const more = events.length < found.length;
    const gaps = query.after === null ? [] : this.machines.gapsAfter(from, filter.ids);
    const seq = more ? (events.at(-1)?.seq ?? from) : this.#newest;
    return { events, position: { epoch: this.#epoch, seq }, more, gaps, computer: reach.computer };
  }

  /**
   * The newest events of a session that have one of these types, before a place in the log, oldest first. It reads the log backwards, and
   * no further than to where the session began.
   */
  tail(
    machine: number,
    session: string,
    types: readonly string[],
    before: number | null,
    limit: number,
  ): StoredEvent[] {
    const [begun] = this.#sql
      .exec<{ seq: number | null }>(
        "SELECT first_seq AS seq FROM session WHERE machine = ? AND native = ?",
        machine,
        session,
      )
      .toArray();
    const rows = this.#sql
      .exec<Row>(
        `SELECT ${COLUMNS} WHERE seq >= ?1 AND seq < ?2 AND machine = ?3 AND session = ?4 AND type IN (SELECT value FROM json_each(?5))
         ORDER BY seq DESC LIMIT ?6`,
        begun?.seq ?? 0,
        before ?? Number.MAX_SAFE_INTEGER,
        machine,
        session,
        JSON.stringify(types),
        limit,
      )
      .toArray();
    return rows.toReversed().map(storedOf);
  }

  /** Whether an event matches a reader's query. */
  wants(query: EventQuery, reach: Reach): (event: AddedEvent) => boolean {
    return (event) => this.#isWanted(event, this.#filterOf(query, reach));
  }

  /** Deletes what a person wants forgotten: a machine's events, or those of one of its sessions. Answers how many there were. */
  forget(machine: number, session: string | null): number {
    const { count, bytes } = this.#sql
      .exec<{ count: number; bytes: number | null }>(
        "SELECT count(*) AS count, sum(octet_length(data)) AS bytes FROM log_event WHERE machine = ?1 AND (?2 IS NULL OR session = ?2)",
        machine,
        session,
      )
      .one();
    this.#sql.exec("DELETE FROM log_event WHERE machine = ?1 AND (?2 IS NULL OR session = ?2)", machine, session);
    this.#pieces.forget(machine);
    this.machines.shrink(machine, count, bytes ?? 0, 0);
    this.#rows -= count;
    this.#bytes -= bytes ?? 0;
    return count;
  }

  /** Starts to follow a log that was not seen before; answers up to where it counts as stored. */
  #begin(machine: LogState, epoch: string, after: number, nowMs: number): number {
    const from = Math.max(0, after);
    this.machines.begin(machine, { epoch, seq: from }, nowMs);
    // The machine's earlier log was lost, and with it what had not been pushed.
    if (machine.epoch !== null) this.machines.markGap(machine.id, this.#next());
    return from;
  }

  #filterOf({ session, project, types, notices, detail }: EventQuery, { ids, unheard, unknown }: Reach): Filter {
    const rest = { session, project, types, notices, detail };
    if (ids === null) return { ...rest, ids };
    const heard = unheard.length === 0 ? [] : this.machines.idsOf(unheard);
    const known = unknown === null ? null : this.machines.named(unknown);
    return { ...rest, ids: [...ids, ...heard, ...(known?.goneMs === null ? [known.id] : [])] };
  }

  /**
   * Which machines a poll is about. It is found out once, at the poll's beginning: while the poll waits, a machine may be renamed or
   * another computer may take its name over, and the reader asked for the computers that had these names then. `undefined` if there
   * is no such machine as far as this reader may know.
   */
  reachOf({ visible, machine }: EventQuery, isMachine: (name: string) => boolean): Reach | undefined {
    const ids = this.idsFor(visible, machine, isMachine);
    if (ids === undefined) return undefined;
    const nothing = { unheard: [], unknown: null, computer: null };
    if (ids === null) return { ids, ...nothing };
    if (machine === null) {
      const unheard = (visible ?? []).filter((computer) => this.machines.idsOf([computer]).length === 0);
      return { ids, ...nothing, unheard };
    }
    const [id] = ids;
    if (id !== undefined) return { ids, ...nothing, computer: this.machines.identityOf(id) };
    const computer = this.machines.registered(machine);
    return computer === null
      ? { ids, ...nothing, unknown: machine }
      : { ids, ...nothing, unheard: [computer], computer };
  }

  /**
   * Ids of the machines that a reader asks for and may see: `null` for all, none for a machine that never said anything, `undefined`
   * for a machine that does not exist as far as this reader may know.
   */
  idsFor(
    visible: readonly string[] | null,
    machine: string | null,
    isMachine: (name: string) => boolean,
  ): number[] | null | undefined {
    if (machine === null) return visible === null ? null : this.machines.idsOf(visible);
    const isVisible = visible === null || visible.includes(this.machines.registered(machine) ?? "");
    const known = isVisible ? this.machines.named(machine) : null;
    // A reader who may see some machines only must not see a removed one that had the same name as one of these.
    if (known !== null && (known.goneMs === null || (visible === null && this.#hasHistory(known)))) return [known.id];
    return isVisible && isMachine(machine) ? [] : undefined;
  }

  #hasHistory({ id, rows }: LogState): boolean {
    return rows > 0 || this.#sql.exec("SELECT 1 FROM session WHERE machine = ? LIMIT 1", id).toArray().length > 0;
  }

  /** Where a reader without a cursor begins. */
  #beginning(filter: Filter): number {
    if (filter.session !== null) {
      const [begun] = this.#sql
        .exec<{ seq: number }>(
          "SELECT first_seq AS seq FROM session WHERE machine = ? AND native = ?",
          filter.ids?.[0] ?? null,
          filter.session,
        )
        .toArray();
      return Math.max(0, (begun?.seq ?? 1) - 1);
    }
    const [row] = this.#sql
      .exec<{ seq: number }>(
        `SELECT seq FROM log_event WHERE ${CONDITION} ORDER BY seq DESC LIMIT 1 OFFSET ?7`,
        0,
        ...parametersOf(filter),
        RECENT_EVENTS,
      )
      .toArray();
    return row?.seq ?? 0;
  }

  #rowsAfter(seq: number, filter: Filter): StoredEvent[] {
    return this.#sql
      .exec<Row>(
        `SELECT ${COLUMNS} WHERE ${CONDITION} ORDER BY seq LIMIT ?7`,
        seq,
        ...parametersOf(filter),
        EVENT_PAGE_ROWS + 1,
      )
      .toArray()
      .map(storedOf);
  }

  /** Adds the pieces of unfinished messages, as far as `rows` reach, for a reader who wants them. */
  #withPieces(rows: StoredEvent[], from: number, filter: Filter): StoredEvent[] {
    if (filter.detail === "coarse") return rows;
    const to = rows.length > EVENT_PAGE_ROWS ? (rows.at(-1)?.seq ?? from) : this.#newest;
    const pieces = this.#pieces
      .after(from, (piece) => piece.seq <= to && this.#isWanted({ ...piece, data: null }, filter))
      .map((piece) => ({ ...piece, machine: this.machines.byId(piece.machine)?.name ?? "", identity: null })); // a live view asks for no computer
    return [...rows, ...pieces].sort((one, other) => one.seq - other.seq);
  }

  #isWanted({ machine, type, session }: AddedEvent, { ids, detail, types, ...filter }: Filter): boolean {
    if (ids !== null && !ids.includes(machine)) return false;
    if (detail === "coarse" && type.endsWith(DELTA_SUFFIX)) return false;
    if (filter.session !== null && filter.session !== session) return false;
    if (type.startsWith(NOTICE_PREFIX) && (types === null || !filter.notices)) return false;
    if (types !== null && !types.some((pattern) => isOfType(type, pattern))) return false;
    return filter.project === null || this.#isOfProject(machine, session, filter.project);
  }

  #isOfProject(machine: number, session: string | null, project: string): boolean {
    return (
      this.#sql
        .exec("SELECT 1 FROM session WHERE machine = ? AND native = ? AND project = ?", machine, session, project)
        .toArray().length > 0
    );
  }

  #isOurs({ epoch, seq }: LogPosition): boolean {
    return epoch === this.#epoch && seq <= this.#newest;
  }

  #next(): number {
    this.#newest += 1;
    if (this.#newest > this.#reserved) {
      this.#reserved = this.#newest + SEQUENCE_BLOCK;
      this.#sql.exec("UPDATE log_state SET reserved = ?", this.#reserved);
    }
    return this.#newest;
  }

  #trim(id: number, nowMs: number): void {
    const { rows, bytes } = this.machines.byId(id) ?? { rows: 0, bytes: 0 };
    if (rows > MACHINE_ROWS + TRIM_ROWS) this.#drop(id, rows - MACHINE_ROWS);
    else if (bytes > MACHINE_BYTES) this.#drop(id, Math.ceil(rows / 10));
    if (this.#rows > this.#retention.current.events + TRIM_ROWS) this.#dropLargest();
    if (this.#bytes > this.#maxBytes) while (this.#bytes > this.#maxBytes - TRIM_BYTES && this.#dropHeaviest());
    if (Math.abs(nowMs - this.#trimmedAgeMs) >= TRIM_AGE_MS) this.trimAge(nowMs);
  }

  /** How many events are kept, and for how long. */
  get retention(): Retention {
    return this.#retention.current;
  }

  /** Changes how many events are kept, and for how long, and deletes those beyond it now. */
  retain(chosen: Retention, nowMs: number): void {
    this.#retention.set(chosen);
    this.trimAge(nowMs);
    while (this.#rows > chosen.events && this.#dropLargest());
  }

  /** How many events are stored, and how many of them a choice would delete at once. */
  effectOf({ days, events }: Retention, nowMs: number): RetentionEffect {
    const { old } = this.#sql
      .exec<{ old: number }>("SELECT count(*) AS old FROM log_event WHERE stored_ms < ?", nowMs - days * DAY_MS)
      .one();
    return { stored: this.#rows, deletes: old + Math.max(0, this.#rows - old - events) };
  }

  /** Deletes events that are too old. Answers when the next one will be; `null` if there are none. */
  trimAge(nowMs: number): number | null {
    this.#trimmedAgeMs = nowMs;
    const before = nowMs - this.#retention.ageMs;
    const old = this.#sql
      .exec<{ machine: number; count: number; bytes: number; last: number }>(
        `SELECT machine, count(*) AS count, sum(octet_length(data)) AS bytes, max(seq) AS last FROM log_event
         WHERE stored_ms < ? GROUP BY machine`,
        before,
      )
      .toArray();
    this.#sql.exec("DELETE FROM log_event WHERE stored_ms < ?", before);
    for (const { machine: id, count, bytes, last } of old) this.#dropped(id, count, bytes, last);
    this.machines.forgetGone(before);
    const [oldest] = this.#sql
      .exec<{ at: number }>("SELECT stored_ms AS at FROM log_event ORDER BY seq LIMIT 1")
      .toArray();
    return oldest === undefined ? null : oldest.at + this.#retention.ageMs;
  }

  /** The machine with the most events loses its oldest, so that a talkative one costs a quiet one nothing. */
  #dropLargest(): boolean {
    const largest = this.machines.largest("rows");
    if (largest === null || largest.rows === 0) return false;
    this.#drop(largest.id, Math.min(largest.rows, this.#rows - this.#retention.current.events));
    return true;
  }

  /** The machine with the most data loses its oldest events: as much as is too much, and no more than half of what it has. */
  #dropHeaviest(): boolean {
    const heaviest = this.machines.largest("bytes");
    if (heaviest === null || heaviest.rows === 0) return false;
    const share = Math.min(1 / 2, (this.#bytes - this.#maxBytes + TRIM_BYTES) / heaviest.bytes);
    this.#drop(heaviest.id, Math.ceil(heaviest.rows * share));
    return true;
  }

  /** Deletes a machine's oldest events. */
  #drop(id: number, count: number): void {
    const { bytes, last, found } = this.#sql
      .exec<{ bytes: number | null; last: number | null; found: number }>(
        `SELECT sum(bytes) AS bytes, max(seq) AS last, count(*) AS found FROM
         (SELECT seq, octet_length(data) AS bytes FROM log_event WHERE machine = ? ORDER BY seq LIMIT ?)`,
        id,
        count,
      )
      .one();
    if (last === null) return;
    this.#sql.exec("DELETE FROM log_event WHERE machine = ? AND seq <= ?", id, last);
    this.#dropped(id, found, bytes ?? 0, last);
  }

  #dropped(id: number, rows: number, bytes: number, last: number): void {
    this.machines.shrink(id, rows, bytes, last);
    this.#rows -= rows;
    this.#bytes -= bytes;
  }
}

/** The filter in SQL: ?1 position, ?2 machines, ?3 session, ?4 types, ?5 project, ?6 whether notices may be read. */
const CONDITION = `seq > ?1 AND (?2 IS NULL OR machine IN (SELECT value FROM json_each(?2))) AND (?3 IS NULL OR session = ?3)
  AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(?4) pattern WHERE log_event.type GLOB pattern.value))
  AND (log_event.type NOT GLOB '${NOTICE_PREFIX}*' OR (?4 IS NOT NULL AND ?6))
  AND (?5 IS NULL OR EXISTS (SELECT 1 FROM session s WHERE s.machine = log_event.machine AND s.native = log_event.session AND s.project = ?5))`;

function storedOf(row: Row): StoredEvent {
  const { seq, name: machine, machine_seq: machineSeq, at_ms: atMs, type, session, data, identity } = row;
  return { seq, machine, machineSeq, atMs, type, session, data, identity };
}

function parametersOf({ ids, session, types, project, notices }: Filter): (string | number | null)[] {
  const lists = [ids, types].map((list) => (list === null ? null : JSON.stringify(list)));
  return [lists[0] ?? null, session, lists[1] ?? null, project, notices ? 1 : 0];
}

/** The type under which a machine's event is stored. A machine must not write what speaks for Operator: notices, and what became of calls that waited. */
function typeOf(type: string, slug: string): string {
  const isOperators = [NOTICE_PREFIX, DELIVERY_PREFIX].some((prefix) => type.startsWith(prefix));
  return slug !== OPERATOR && isOperators ? `machine.${type}` : type;
}

function isOfType(type: string, pattern: string): boolean {
  return pattern.endsWith("*") ? type.startsWith(pattern.slice(0, -1)) : type === pattern;
}

/** Whether the numbers of a push do not rise: the order of a machine's events is that of its own log. */
function isDisordered({ after, events }: EventPush): boolean {
  return events.some(({ seq }, index) => seq <= (events[index - 1]?.seq ?? after));
}

/** Another epoch for each id. Both begin with 32 random bits in hex. */
function mixed(epoch: string, id: string): string {
  const [one, other] = [epoch, id].map((text) => Number.parseInt(text.slice(0, EPOCH_DIGITS), 16));
  return (((one ?? 0) ^ (other ?? 0)) >>> 0).toString(16).padStart(EPOCH_DIGITS, "0");
}
