import type { LogPosition } from "#protocol/event.ts";
import { columnsOf } from "../columns.ts";
import type { Identified } from "../http/shown-machine.ts";
import { KNOWN_EPOCHS } from "./limits.ts";

/** A machine as the log knows it. It keeps its id when it is renamed, and its rows when it is removed. */
export type LogMachine = {
  readonly id: number;
  readonly name: string;
  /** When the machine was removed; `null` while it exists. */
  readonly goneMs: number | null;
};

type Row = {
  id: number;
  name: string;
  slug: string | null;
  gone_ms: number | null;
  epoch: string | null;
  stored: number;
  rows: number;
  bytes: number;
  gap_seq: number;
};

/** How far a machine's own log was stored, and how much of it is still there. */
export type LogState = LogMachine & {
  readonly epoch: string | null;
  readonly stored: number;
  readonly rows: number;
  readonly bytes: number;
};

/** Which computer the row `m` of `log_machine` is; NULL if it is not known. Of one that exists, the registry knows (user/registry.ts). */
export const IDENTITY = `nullif(ifnull((SELECT identity FROM log_former WHERE machine = m.id), (SELECT identity FROM machine WHERE slug = m.slug)), '')`;

/**
 * The machines whose events are in a person's log.
 *
 *   log_machine  one row for each machine that ever pushed, also for removed ones: its current name and slug, up to where its own
 *                log (`epoch`) is `stored`, how much of it is here, and `gap_seq`: a reader whose cursor is before this
 *                sequence number has missed events of this machine
 *   log_epoch    up to where its former logs were stored, so that a push which comes late changes nothing
 *   log_former   of removed ones, and of those that lost their name to another computer: the identity of the computer that they were
 */
export class LogMachines {
  readonly #sql: SqlStorage;
  /** The newest gap of all machines. Most cursors are beyond it, and then no row has to be read. */
  #newestGap: number;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS log_machine (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, slug TEXT UNIQUE,
        gone_ms INTEGER, epoch TEXT, stored INTEGER NOT NULL DEFAULT 0, rows INTEGER NOT NULL DEFAULT 0,
        characters INTEGER NOT NULL DEFAULT 0, gap_seq INTEGER NOT NULL DEFAULT 0, bytes INTEGER NOT NULL DEFAULT 0);
      CREATE INDEX IF NOT EXISTS log_machine_name ON log_machine (name);
      CREATE TABLE IF NOT EXISTS log_epoch (machine INTEGER NOT NULL, epoch TEXT NOT NULL, stored INTEGER NOT NULL,
        left_ms INTEGER NOT NULL, PRIMARY KEY (machine, epoch)) WITHOUT ROWID;
      CREATE TABLE IF NOT EXISTS log_former (machine INTEGER PRIMARY KEY, identity TEXT NOT NULL);
    `);
    // Version 0.4 counted characters, in two ways that did not agree.
    if (!columnsOf(sql, "log_machine").has("bytes")) {
      sql.exec("ALTER TABLE log_machine ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0");
      sql.exec(
        `UPDATE log_machine SET bytes = stored.bytes FROM
         (SELECT machine, sum(octet_length(data)) AS bytes FROM log_event GROUP BY machine) AS stored WHERE machine = id`,
      );
    }
    this.#newestGap = sql.exec<{ gap: number | null }>("SELECT max(gap_seq) AS gap FROM log_machine").one().gap ?? 0;
  }

  /**
   * The machine of a slug, added if it is new. The caller knows that the slug is in the registry under this name. A computer that was removed and
   * set up again goes on with its own history.
   */
  of(slug: string, name: string): LogState {
    const known = this.#bySlug(slug);
    if (known !== null) return known;
    const [machine] = this.#sql
      .exec<{ identity: string }>("SELECT identity FROM machine WHERE slug = ?", slug)
      .toArray();
    this.#begin(name, slug, machine?.identity ?? "");
    const added = this.#bySlug(slug);
    if (added === null) throw new Error("a machine that was just added is gone");
    return added;
  }

  has(slug: string): boolean {
    return this.#bySlug(slug) !== null;
  }

  byId(id: number): LogState | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM log_machine WHERE id = ?", id).toArray();
    return row === undefined ? null : stateOf(row);
  }

  /** The machine of this name, or the removed one that had it last. */
  named(name: string): LogState | null {
    const [row] = this.#sql
      .exec<Row>("SELECT * FROM log_machine WHERE name = ? ORDER BY gone_ms IS NOT NULL, id DESC LIMIT 1", name)
      .toArray();
    return row === undefined ? null : stateOf(row);
  }

  /**
   * The machine that this computer is, or was: the one of this name, or, if it has another name by now, the newest. With the identity `""`: the
   * machine of this name of which nobody knows which computer it is.
   */
  identified({ name, identity }: Identified): LogState | null {
    const [row] = this.#sql
      .exec<Row>(
        `SELECT * FROM log_machine m WHERE iif(?2 = '', name = ?1 AND ${IDENTITY} IS NULL, ${IDENTITY} = ?2)
         ORDER BY name <> ?1, gone_ms IS NOT NULL, id DESC LIMIT 1`,
        name,
        identity,
      )
      .toArray();
    return row === undefined ? null : stateOf(row);
  }

  /** Which computer a machine of the log is; `null` if that is not known. */
  identityOf(id: number): string | null {
    const [row] = this.#sql
      .exec<{ identity: string | null }>(`SELECT ${IDENTITY} AS identity FROM log_machine m WHERE id = ?`, id)
      .toArray();
    return row?.identity ?? null;
  }

  /** Which computer has a name now, also if it never said anything; `null` if that is not known. */
  registered(name: string): string | null {
    const [row] = this.#sql
      .exec<{ identity: string }>("SELECT identity FROM machine WHERE name = ? AND identity <> ''", name)
      .toArray();
    return row?.identity ?? null;
  }

  /** Every machine that has, or had last, this name: the one that has it now and removed ones. */
  allNamed(name: string): LogState[] {
    return this.#sql.exec<Row>("SELECT * FROM log_machine WHERE name = ?", name).toArray().map(stateOf);
  }

  /** Ids of the machines that exist and are one of these computers. */
  idsOf(identities: readonly string[]): number[] {
    return this.#sql
      .exec<{ id: number }>(
        `SELECT m.id FROM machine r JOIN log_machine m ON m.slug = r.slug
         WHERE r.identity <> '' AND r.identity IN (SELECT value FROM json_each(?))`,
        JSON.stringify(identities),
      )
      .toArray()
      .map(({ id }) => id);
  }

  /** Up to where a machine's log of this epoch is stored; `null` if that log is unknown. */
  storedOf({ id, epoch, stored }: LogState, ofEpoch: string): number | null {
    if (epoch === ofEpoch) return stored;
    const [row] = this.#sql
      .exec<{ stored: number }>("SELECT stored FROM log_epoch WHERE machine = ? AND epoch = ?", id, ofEpoch)
      .toArray();
    return row?.stored ?? null;
  }

  /** Follows another log of this machine from now on. */
  begin({ id, epoch, stored }: LogState, to: LogPosition, nowMs: number): void {
    if (epoch !== null) {
      this.#sql.exec("INSERT OR REPLACE INTO log_epoch VALUES (?, ?, ?, ?)", id, epoch, stored, nowMs);
      this.#sql.exec(
        `DELETE FROM log_epoch WHERE machine = ?1 AND epoch NOT IN
         (SELECT epoch FROM log_epoch WHERE machine = ?1 ORDER BY left_ms DESC LIMIT ?2)`,
        id,
        KNOWN_EPOCHS,
      );
    }
    this.#sql.exec("UPDATE log_machine SET epoch = ?, stored = ? WHERE id = ?", to.epoch, to.seq, id);
  }

  /** Notes what a push has added. */
  add(id: number, stored: number, rows: number, bytes: number): void {
    this.#sql.exec(
      "UPDATE log_machine SET stored = ?, rows = rows + ?, bytes = bytes + ? WHERE id = ?",
      stored,
      rows,
      bytes,
      id,
    );
  }

  /** Notes what was added beside the machine's own log. */
  grow(id: number, rows: number, bytes: number): void {
    this.#sql.exec("UPDATE log_machine SET rows = rows + ?, bytes = bytes + ? WHERE id = ?", rows, bytes, id);
  }

  /** Notes what trimming has removed: events up to `gapSeq`. */
  shrink(id: number, rows: number, bytes: number, gapSeq: number): void {
    this.#sql.exec("UPDATE log_machine SET rows = rows - ?, bytes = bytes - ? WHERE id = ?", rows, bytes, id);
    this.markGap(id, gapSeq);
  }

  /** Events of this machine at or before `seq` are missing. */
  markGap(id: number, seq: number): void {
    this.#sql.exec("UPDATE log_machine SET gap_seq = max(gap_seq, ?) WHERE id = ?", seq, id);
    this.#newestGap = Math.max(this.#newestGap, seq);
  }

  /** Names of those machines of which a reader after `seq` has missed events. `ids` limits them; `null` means all. */
  gapsAfter(seq: number, ids: readonly number[] | null): string[] {
    if (seq >= this.#newestGap) return [];
    return this.#sql
      .exec<{ name: string }>(
        `SELECT DISTINCT name FROM log_machine WHERE gap_seq > ?1
         AND (?2 IS NULL OR id IN (SELECT value FROM json_each(?2))) ORDER BY name`,
        seq,
        ids === null ? null : JSON.stringify(ids),
      )
      .toArray()
      .map(({ name }) => name);
  }

  /** The machine with the most events, or with the most data in them. */
  largest(by: "rows" | "bytes"): LogState | null {
    const [row] = this.#sql.exec<Row>(`SELECT * FROM log_machine ORDER BY ${by} DESC LIMIT 1`).toArray();
    return row === undefined ? null : stateOf(row);
  }

  /** Events of all machines, and the bytes of their data. */
  total(): { rows: number; bytes: number } {
    return this.#sql
      .exec<{ rows: number; bytes: number }>(
        "SELECT coalesce(sum(rows), 0) AS rows, coalesce(sum(bytes), 0) AS bytes FROM log_machine",
      )
      .one();
  }

  rename(from: string, to: { name: string; slug: string }): void {
    this.#sql.exec(
      "UPDATE log_machine SET name = ?, slug = ? WHERE name = ? AND gone_ms IS NULL",
      to.name,
      to.slug,
      from,
    );
  }

  /** A machine was removed. Its events stay, and its name and slug may pass to another one. @param identity `""` if it is not known */
  remove(name: string, identity: string, nowMs: number): void {
    this.#sql.exec(
      "INSERT OR REPLACE INTO log_former SELECT id, ?2 FROM log_machine WHERE name = ?1 AND gone_ms IS NULL AND ?2 <> ''",
      name,
      identity,
    );
    this.#sql.exec("UPDATE log_machine SET gone_ms = ?, slug = NULL WHERE name = ? AND gone_ms IS NULL", nowMs, name);
  }

  /**
   * Deletes the rows of machines that were removed before a time and of which nothing is left: no event, session or request. Somebody may add and
   * remove machines for years, as pipelines do that enrol one for each run. A number is not given again.
   */
  forgetGone(before: number): void {
    this.#sql.exec(
      `DELETE FROM log_machine WHERE gone_ms < ? AND rows = 0 AND NOT EXISTS (SELECT 1 FROM session s WHERE s.machine = log_machine.id)
       AND NOT EXISTS (SELECT 1 FROM inbox i WHERE i.machine = log_machine.id)`,
      before,
    );
    this.#sql.exec("DELETE FROM log_epoch WHERE machine NOT IN (SELECT id FROM log_machine)");
    this.#sql.exec("DELETE FROM log_former WHERE machine NOT IN (SELECT id FROM log_machine)");
  }

  /**
   * Another computer has the name and the script from now on. What there is stays with the former computer, as a removed machine's
   * does: a token that is limited to the new computer must not show it. Of the new one only the numbers of the script's log are
   * taken over, since they go on. A computer that gets its name back gets its own history back.
   */
  pass(name: string, { from, to }: { from: string; to: string }, nowMs: number): void {
    const [former] = this.#sql
      .exec<Row>("SELECT * FROM log_machine WHERE name = ? AND gone_ms IS NULL", name)
      .toArray();
    if (former === undefined) return;
    this.#sql.exec("UPDATE log_machine SET gone_ms = ?, slug = NULL WHERE id = ?", nowMs, former.id);
    this.#sql.exec("INSERT OR REPLACE INTO log_former VALUES (?, ?)", former.id, from);
    this.#begin(name, former.slug, to);
    this.#sql.exec(
      "UPDATE log_machine SET epoch = ?, stored = ? WHERE slug = ?",
      former.epoch,
      former.stored,
      former.slug,
    );
    this.#sql.exec(
      `INSERT OR REPLACE INTO log_epoch SELECT m.id, e.epoch, e.stored, e.left_ms FROM log_epoch e, log_machine m
       WHERE e.machine = ? AND m.slug = ?`,
      former.id,
      former.slug,
    );
  }

  /** Adds a computer's machine, or goes on with the one that it was under this name. */
  #begin(name: string, slug: string | null, identity: string): void {
    const [earlier] = this.#sql
      .exec<{ id: number }>(
        `SELECT id FROM log_machine JOIN log_former ON machine = id WHERE name = ? AND identity = ? ORDER BY id DESC LIMIT 1`,
        name,
        identity,
      )
      .toArray();
    if (earlier === undefined) this.#sql.exec("INSERT INTO log_machine (name, slug) VALUES (?, ?)", name, slug);
    else {
      this.#sql.exec("UPDATE log_machine SET gone_ms = NULL, slug = ? WHERE id = ?", slug, earlier.id);
      this.#sql.exec("DELETE FROM log_former WHERE machine = ?", earlier.id);
    }
  }

  #bySlug(slug: string): LogState | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM log_machine WHERE slug = ?", slug).toArray();
    return row === undefined ? null : stateOf(row);
  }
}

function stateOf({ id, name, gone_ms: goneMs, epoch, stored, rows, bytes }: Row): LogState {
  return { id, name, goneMs, epoch, stored, rows, bytes };
}
