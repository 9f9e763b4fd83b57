import { isRecord } from "#protocol/json.ts";
import { MAX_SESSION_ID_CHARACTERS } from "#protocol/limits.ts";
import type { AddedEvent } from "./merged-log.ts";
import { afterAnswer, afterEvent, newSession, type SessionFacts, type SessionState } from "./session-state.ts";

/** Sessions of one machine. Beyond that the ones that were quiet for longest are forgotten; the machine itself still has them. */
const MACHINE_SESSIONS = 2_000;

/** Sessions of all machines. At 500 bytes each they take 10 MB. */
const INDEX_SESSIONS = 20_000;

/** Sessions are deleted in groups of this size, because finding the oldest ones reads many. */
const TRIM_SESSIONS = 100;

/** Sessions that one answer of a machine can contain: the largest page of its `list_sessions`. */
const MAX_LEARNT = 500;

/** A session of the index. `machineGone`: its machine was removed. */
export type IndexedSession = SessionFacts & {
  readonly machine: string;
  readonly session: string;
  readonly machineGone: boolean;
};

/** What a machine's sessions had cost when Operator last heard of them. */
export type IndexedCost = {
  readonly machine: string;
  readonly costUsd: number;
  readonly sessions: number;
  readonly lastMs: number;
};

/** How many sessions of a machine run, and how many wait for a person. */
export type SessionLoad = { readonly machine: string; readonly running: number; readonly waiting: number };

export type SessionQuery = {
  /** Ids of the machines that the reader may see; `null` for all. */
  readonly ids: readonly number[] | null;
  readonly project: string | null;
  readonly state: SessionState | "machine_gone" | null;
  /** Only this session, by the machine's own id. */
  readonly session?: string;
  /** Words that a title must contain. */
  readonly words: readonly string[];
  /** Only sessions after this one, in the order of the list. */
  readonly before: SessionPlace | null;
  readonly limit: number;
};

/** A session's place in the list: newest first, and by id where two are equally new. */
export type SessionPlace = { readonly lastMs: number; readonly id: number };

type Row = {
  id: number;
  native: string;
  project: string | null;
  cwd: string | null;
  title: string | null;
  state: SessionState;
  agent: string | null;
  started_ms: number;
  last_ms: number;
  last_message: string | null;
  cost_usd: number | null;
};

/**
 * Every session that a person's machines reported, so that listing them asks no machine and costs the same with one machine and
 * with a thousand. It outlives the machine.
 *
 * It is fed by the events, and by the answers of `list_sessions` and `create_session` that pass through Operator. A push costs one
 * row for each session in it, however many events it has.
 */
export class SessionIndex {
  readonly #sql: SqlStorage;
  #count: number;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS session (id INTEGER PRIMARY KEY AUTOINCREMENT, machine INTEGER NOT NULL, native TEXT NOT NULL,
        project TEXT, cwd TEXT, title TEXT, state TEXT NOT NULL, agent TEXT, started_ms INTEGER NOT NULL, last_ms INTEGER NOT NULL,
        last_message TEXT, cost_usd REAL, first_seq INTEGER, UNIQUE (machine, native));
      CREATE INDEX IF NOT EXISTS session_recent ON session (last_ms);
      CREATE INDEX IF NOT EXISTS session_active ON session (machine) WHERE state IN ('running', 'waiting');
    `);
    this.#count = sql.exec<{ count: number }>("SELECT count(*) AS count FROM session").one().count;
  }

  /** Updates the sessions of one machine from its new events. */
  note(machine: number, events: readonly AddedEvent[], nowMs: number): void {
    const bySession = Map.groupBy(events, ({ session }) => session);
    bySession.delete(null);
    for (const [native, ofOne] of bySession) {
      const [first] = ofOne;
      if (native === null || first === undefined) continue;
      const known = this.#row(machine, native);
      const startedMs = Math.min(first.atMs, nowMs);
      let facts = known === null ? newSession(startedMs) : factsOf(known);
      for (const { type, data, atMs } of ofOne) facts = afterEvent(facts, type, data, Math.min(atMs, nowMs));
      this.#write(machine, native, known, facts, first.seq);
    }
  }

  /** Takes in sessions as the machine itself lists them. */
  learn(machine: number, sessions: readonly unknown[], nowMs: number): void {
    for (const told of sessions.slice(0, MAX_LEARNT)) {
      if (!isRecord(told)) continue;
      const native = told["session_id"] ?? told["id"];
      if (typeof native !== "string" || native === "" || native.length > MAX_SESSION_ID_CHARACTERS) continue;
      const known = this.#row(machine, native);
      this.#write(machine, native, known, afterAnswer(known === null ? null : factsOf(known), told, nowMs), null);
    }
  }

  /** Newest first. */
  list({ ids, project, state, session, words, before, limit }: SessionQuery): {
    sessions: IndexedSession[];
    next: SessionPlace | null;
  } {
    const rows = this.#sql
      .exec<Row & { name: string; gone: number }>(
        `SELECT s.*, m.name, m.gone_ms IS NOT NULL AS gone FROM session s JOIN log_machine m ON m.id = s.machine
         WHERE (?1 IS NULL OR s.machine IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR s.project = ?2)
         AND (?3 IS NULL OR CASE WHEN m.gone_ms IS NULL THEN s.state ELSE 'machine_gone' END = ?3)
         AND NOT EXISTS (SELECT 1 FROM json_each(?4) WHERE instr(lower(coalesce(s.title, '')), value) = 0)
         AND (?8 IS NULL OR s.native = ?8) AND (s.last_ms, s.id) < (?5, ?6) ORDER BY s.last_ms DESC, s.id DESC LIMIT ?7`,
        ids === null ? null : JSON.stringify(ids),
        project,
        state,
        JSON.stringify(words.map((word) => word.toLowerCase())),
        before?.lastMs ?? Number.MAX_SAFE_INTEGER,
        before?.id ?? Number.MAX_SAFE_INTEGER,
        limit + 1,
        session ?? null,
      )
      .toArray();
    const page = rows.slice(0, limit);
    const last = page.at(-1);
    return {
      sessions: page.map((row) => ({
        ...factsOf(row),
        machine: row.name,
        session: row.native,
        machineGone: row.gone === 1,
      })),
      next: rows.length > limit && last !== undefined ? { lastMs: last.last_ms, id: last.id } : null,
    };
  }

  /** Deletes a session, or all of a machine. Answers how many there were. */
  forget(machine: number, native: string | null): number {
    const { rowsWritten } = this.#sql.exec(
      "DELETE FROM session WHERE machine = ?1 AND (?2 IS NULL OR native = ?2)",
      machine,
      native,
    );
    if (rowsWritten > 0) this.#recount();
    return rowsWritten;
  }

  /** What the sessions of each machine that was not removed cost, as far as their events said: those that were in use since a time. */
  costs(sinceMs: number): IndexedCost[] {
    return this.#sql
      .exec<IndexedCost>(
        `SELECT m.name AS machine, sum(s.cost_usd) AS costUsd, count(*) AS sessions, max(s.last_ms) AS lastMs
         FROM session s JOIN log_machine m ON m.id = s.machine
         WHERE s.last_ms >= ? AND s.cost_usd > 0 AND m.gone_ms IS NULL GROUP BY s.machine`,
        sinceMs,
      )
      .toArray();
  }

  /** What the machines that were not removed are busy with. Machines without such a session are left out. */
  load(): SessionLoad[] {
    return this.#sql
      .exec<SessionLoad>(
        `SELECT m.name AS machine, sum(s.state = 'running') AS running, sum(s.state = 'waiting') AS waiting
         FROM session s JOIN log_machine m ON m.id = s.machine
         WHERE s.state IN ('running', 'waiting') AND m.gone_ms IS NULL GROUP BY s.machine`,
      )
      .toArray();
  }

  countOf(machine: number): number {
    return this.#sql.exec<{ count: number }>("SELECT count(*) AS count FROM session WHERE machine = ?", machine).one()
      .count;
  }

  #row(machine: number, native: string): Row | null {
    const [row] = this.#sql
      .exec<Row>("SELECT * FROM session WHERE machine = ? AND native = ?", machine, native)
      .toArray();
    return row ?? null;
  }

  #write(machine: number, native: string, known: Row | null, facts: SessionFacts, firstSeq: number | null): void {
    const { project, cwd, title, state, agent, startedMs, lastMs, lastMessage, costUsd } = facts;
    const values = [project, cwd, title, state, agent, startedMs, lastMs, lastMessage, costUsd];
    if (known === null) {
      this.#sql.exec(
        `INSERT INTO session (machine, native, project, cwd, title, state, agent, started_ms, last_ms, last_message, cost_usd, first_seq)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
        machine,
        native,
        ...values,
        firstSeq,
      );
      this.#count += 1;
      this.#trim(machine);
    } else if (JSON.stringify(facts) !== JSON.stringify(factsOf(known)))
      this.#sql.exec(
        `UPDATE session SET project = ?, cwd = ?, title = ?, state = ?, agent = ?, started_ms = ?, last_ms = ?, last_message = ?,
         cost_usd = ?, first_seq = coalesce(first_seq, ?) WHERE id = ?`,
        ...values,
        firstSeq,
        known.id,
      );
  }

  /** Keeps one machine, and all of them together, within their limits. A machine with many sessions loses its own first. */
  #trim(machine: number): void {
    if (this.#count % TRIM_SESSIONS !== 0) return;
    this.#dropOldest(machine, MACHINE_SESSIONS);
    if (this.#count <= INDEX_SESSIONS) return;
    const [largest] = this.#sql
      .exec<{ machine: number; count: number }>(
        "SELECT machine, count(*) AS count FROM session GROUP BY machine ORDER BY count DESC LIMIT 1",
      )
      .toArray();
    if (largest !== undefined) this.#dropOldest(largest.machine, Math.max(0, largest.count - TRIM_SESSIONS));
  }

  #dropOldest(machine: number, keep: number): void {
    this.#sql.exec(
      `DELETE FROM session WHERE machine = ?1 AND id NOT IN
       (SELECT id FROM session WHERE machine = ?1 ORDER BY last_ms DESC LIMIT ?2)`,
      machine,
      keep,
    );
    this.#recount();
  }

  #recount(): void {
    this.#count = this.#sql.exec<{ count: number }>("SELECT count(*) AS count FROM session").one().count;
  }
}

function factsOf(row: Row): SessionFacts {
  return {
    project: row.project,
    cwd: row.cwd,
    title: row.title,
    state: row.state,
    agent: row.agent,
    startedMs: row.started_ms,
    lastMs: row.last_ms,
    lastMessage: row.last_message,
    costUsd: row.cost_usd,
  };
}
