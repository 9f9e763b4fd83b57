import { utf8 } from "#protocol/bytes.ts";
import { columnsOf } from "../columns.ts";
import type { Attempt, DeliveryRecord, DeliveryRequest, DeliveryState } from "./delivery.ts";
import {
  FIRST_PAUSE_MS,
  KEEP_MS,
  LONGEST_PAUSE_MS,
  MAX_KEPT_BYTES,
  MAX_ROWS,
  MAX_WAITING,
  MAX_WAITING_BYTES,
} from "./limits.ts";

type Row = {
  id: number;
  scope: string;
  key: string;
  machine: string;
  identity: string;
  call: string;
  session: string | null;
  tool: string;
  args: string;
  state: DeliveryState;
  queued: number;
  attempts: number;
  accepted_ms: number;
  until_ms: number;
  delivered_ms: number | null;
  consumed_ms: number | null;
  ended_ms: number | null;
  next_ms: number;
  trying: number;
  may_have_run: number;
  turn: string | null;
  answer: string | null;
  error: string | null;
};

/** Calls that may be forgotten: they have ended, or do not wait. A call that failed because its machine was away is one of these. */
const FORGETTABLE = "(ended_ms IS NOT NULL OR queued = 0) AND trying = 0";

/** The bytes of a call. They are in the row's head, so the call itself is not read. */
const BYTES = "octet_length(call) + octet_length(args) + coalesce(octet_length(answer), 0)";

/** What an attempt needs. */
export type Due = Pick<DeliveryRecord, "id" | "key" | "machine" | "tool"> & {
  readonly identity: string;
  readonly args: string;
  /** Whose call it is (delivery-scope.ts). */
  readonly scope: string;
};

/** The part of Durable Object storage that this needs, so that it can be tested anywhere with SQLite. */
export type Sql = {
  exec<Result extends Record<string, string | number | null>>(
    query: string,
    ...parameters: (string | number | null)[]
  ): { toArray(): Result[]; readonly rowsWritten: number };
};

/**
 * Calls with a key, on their way to the machines: the state machine of delivery, without any input or output.
 *
 *   delivery  one row for each key of each client: the call, its state, and what its machine answered. `call` is a digest of what was
 *             asked: with the whole of it a large call would exceed the 2 MB that SQLite in a Durable Object takes as one row
 *
 * None is lost: a row is written before the first attempt, and one that waits is due again until its machine has answered or its time is up.
 * None runs twice: each attempt carries the same key, which the machine has written down before it begins (`codez serve`). Where the
 * machine knows no keys, an attempt that may have run is the last one. `trying` marks an attempt in progress; one that is found after a
 * restart of this object is one that may have run.
 */
export class Outbox {
  readonly #sql: Sql;

  constructor(sql: Sql) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS delivery (id INTEGER PRIMARY KEY AUTOINCREMENT, scope TEXT NOT NULL, key TEXT NOT NULL,
      machine TEXT NOT NULL, identity TEXT NOT NULL, call TEXT NOT NULL, tool TEXT NOT NULL, args TEXT NOT NULL, state TEXT NOT NULL,
      queued INTEGER NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, accepted_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL,
      delivered_ms INTEGER, consumed_ms INTEGER, ended_ms INTEGER, next_ms INTEGER NOT NULL DEFAULT 0,
      trying INTEGER NOT NULL DEFAULT 0, may_have_run INTEGER NOT NULL DEFAULT 0, turn TEXT, answer TEXT, error TEXT,
      session TEXT, UNIQUE (scope, key))`);
    if (!columnsOf(sql, "delivery").has("session")) {
      sql.exec("ALTER TABLE delivery ADD COLUMN session TEXT");
      // Version 0.4 kept the whole call. Its session is small, unlike the call.
      sql.exec(
        `UPDATE delivery SET session = json_extract(json_extract(call, '$[2]'), '$.session_id') WHERE json_valid(call)`,
      );
    }
    sql.exec("CREATE INDEX IF NOT EXISTS delivery_open ON delivery (machine) WHERE ended_ms IS NULL");
    // Attempts that were in progress when this object ended. Nobody knows how far they got.
    sql.exec("UPDATE delivery SET trying = 0, may_have_run = 1 WHERE trying = 1");
  }

  /**
   * Takes a call in, or finds it if it is known. `key_reused`: the key stands for another call. `full`: too many wait for this machine, or too
   * large ones for all of them.
   */
  accept(request: DeliveryRequest, nowMs: number): { record: DeliveryRecord; isNew: boolean } | "key_reused" | "full" {
    const { scope, key, machine, identity, digest, session, tool, args, isQueued, queueMs } = request;
    this.#trim(nowMs);
    const [known] = this.#sql.exec<Row>("SELECT * FROM delivery WHERE scope = ? AND key = ?", scope, key).toArray();
    if (known !== undefined) {
      if (known.call !== (known.call.startsWith("[") ? wholeOf(request) : digest)) return "key_reused";
      // The same call again, and this time its caller wants it to wait.
      if (isQueued && known.queued === 0 && known.state === "accepted") {
        if (this.#isFull(request)) return "full";
        this.#sql.exec("UPDATE delivery SET queued = 1, until_ms = ? WHERE id = ?", nowMs + queueMs, known.id);
      }
      return { record: this.get(known.id) ?? recordOf(known), isNew: false };
    }
    if (isQueued && this.#isFull(request)) return "full";
    this.#sql.exec(
      `INSERT INTO delivery (scope, key, machine, identity, call, session, tool, args, state, queued, accepted_ms, until_ms)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'accepted', ?, ?, ?)`,
      scope,
      key,
      machine,
      identity,
      digest,
      session,
      tool,
      args,
      isQueued ? 1 : 0,
      nowMs,
      nowMs + queueMs,
    );
    const record = this.find(scope, key);
    if (record === null) throw new Error("a delivery that was just accepted is gone");
    return { record, isNew: true };
  }

  find(scope: string, key: string): DeliveryRecord | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM delivery WHERE scope = ? AND key = ?", scope, key).toArray();
    return row === undefined ? null : recordOf(row);
  }

  get(id: number): DeliveryRecord | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM delivery WHERE id = ?", id).toArray();
    return row === undefined ? null : recordOf(row);
  }

  /** The session that a call is for, as its machine names it; `null` if the call makes one. */
  sessionOf(id: number): string | null {
    const [row] = this.#sql.exec<Pick<Row, "session">>("SELECT session FROM delivery WHERE id = ?", id).toArray();
    return row?.session ?? null;
  }

  /** What an attempt needs of a call, and whose it is now. */
  dueOf(id: number): Due | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM delivery WHERE id = ?", id).toArray();
    return row === undefined ? null : dueOf(row);
  }

  /** The newest ones of a client, newest first. */
  list(scope: string, limit: number): DeliveryRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM delivery WHERE scope = ? ORDER BY id DESC LIMIT ?", scope, limit)
      .toArray()
      .map(recordOf);
  }

  /**
   * Begins an attempt; `null` if there is nothing to attempt: it is under way, settled, or its time is up. A call that may have run at a
   * machine that knows no keys fails instead.
   */
  begin(id: number, isRepeatable: boolean, nowMs: number): Due | null {
    const known = this.get(id);
    if (known?.mayHaveRun === true && !isRepeatable) {
      this.#finish(id, "failed", nowMs, {});
      return null;
    }
    const [row] = this.#sql
      .exec<Row>(
        `UPDATE delivery SET trying = 1, attempts = attempts + 1 WHERE id = ? AND trying = 0 AND ended_ms IS NULL
         AND state IN ('accepted', 'delivered') AND (queued = 0 OR until_ms > ?) RETURNING *`,
        id,
        nowMs,
      )
      .toArray();
    return row === undefined ? null : dueOf(row);
  }

  /** Notes what became of an attempt. `isRepeatable`: the machine knows keys, so that attempting again cannot run it twice. */
  end(id: number, attempt: Attempt, isRepeatable: boolean, nowMs: number): void {
    switch (attempt.outcome) {
      case "delivered":
        this.#sql.exec(
          `UPDATE delivery SET trying = 0, state = 'delivered', delivered_ms = coalesce(delivered_ms, ?2), answer = ?3, turn = ?4, error = NULL,
           next_ms = ?2 + ?5 WHERE id = ?1 AND ended_ms IS NULL`,
          id,
          nowMs,
          attempt.answer,
          attempt.turn,
          this.#pause(id),
        );
        if (attempt.turn === null || attempt.isTaken) this.#consume("id = ?1", id, nowMs);
        return;
      case "refused":
        return this.#finish(id, "failed", nowMs, { answer: attempt.answer });
      case "away": {
        const mayHaveRun = attempt.mayHaveRun ? 1 : 0;
        this.#sql.exec(
          `UPDATE delivery SET trying = 0, may_have_run = max(may_have_run, ?2), error = ?3, next_ms = ?4 WHERE id = ?1`,
          id,
          mayHaveRun,
          attempt.error,
          nowMs + this.#pause(id),
        );
        const isRisky = this.get(id)?.mayHaveRun === true && !isRepeatable;
        if (isRisky) this.#finish(id, "failed", nowMs, {});
      }
    }
  }

  /** The agent of this computer has taken the prompt of this turn. */
  taken({ machine, identity }: { machine: string; identity: string | null }, turn: string, nowMs: number): void {
    // When the call was made, the list of machines may have been a rebuilt one, which did not know the computer.
    this.#consume("machine = ?1 AND turn = ?3 AND identity IN (?4, '')", machine, nowMs, turn, identity ?? "");
  }

  /** Cancels a call that is not delivered. Answers `false` if it is too late, or an attempt is under way. */
  cancel(id: number, nowMs: number): boolean {
    const cancelled = this.#sql.exec(
      "UPDATE delivery SET state = 'cancelled', ended_ms = ?2, args = '' WHERE id = ?1 AND state = 'accepted' AND trying = 0 AND ended_ms IS NULL",
      id,
      nowMs,
    );
    return cancelled.rowsWritten > 0;
  }

  /** Cancels what a client has waiting, or what anybody has (`null`), because its access was revoked. */
  revoke(scope: string | null, nowMs: number): void {
    this.#sql.exec(
      `UPDATE delivery SET state = 'cancelled', ended_ms = ?2, args = ''
       WHERE (?1 IS NULL OR scope = ?1) AND state = 'accepted' AND trying = 0 AND ended_ms IS NULL`,
      scope,
      nowMs,
    );
  }

  /** The calls of a grant now belong to another, which has replaced it. Of two with one key, which are one call, the former does not wait on. */
  passOn(from: string, to: string, nowMs: number): void {
    this.#sql.exec("UPDATE OR IGNORE delivery SET scope = ? WHERE scope = ?", to, from);
    this.revoke(from, nowMs);
  }

  /**
   * Ids of queued calls that are due: those for a machine in the order in which they were accepted. `all`: also those whose pause is not
   * over, because the machine has just come back.
   */
  due(machine: string, all: boolean, nowMs: number): number[] {
    return this.#sql
      .exec<{ id: number }>(
        `SELECT id FROM delivery WHERE machine = ?1 AND ended_ms IS NULL AND queued = 1 AND trying = 0
         AND state IN ('accepted', 'delivered') AND until_ms > ?3 AND (?2 OR next_ms <= ?3) ORDER BY id`,
        machine,
        all ? 1 : 0,
        nowMs,
      )
      .toArray()
      .map(({ id }) => id);
  }

  /** Machines for which queued calls wait, and when the first of them is due. */
  waiting(): { machine: string; nextMs: number }[] {
    return this.#sql
      .exec<{ machine: string; next: number }>(
        "SELECT machine, min(next_ms) AS next FROM delivery WHERE ended_ms IS NULL AND queued = 1 GROUP BY machine",
      )
      .toArray()
      .map(({ machine, next: nextMs }) => ({ machine, nextMs }));
  }

  /** A computer has another name. What is for one that had its name before waits for that one. */
  rename({ from, to, identity }: { from: string; to: string; identity: string }): void {
    this.#sql.exec("UPDATE delivery SET machine = ? WHERE machine = ? AND identity = ?", to, from, identity);
  }

  /** Ends what has waited for too long. Answers the records that have ended by it. */
  expire(nowMs: number): DeliveryRecord[] {
    return this.#sql
      .exec<Row>(
        `UPDATE delivery SET state = CASE WHEN state = 'accepted' THEN 'expired' ELSE state END, ended_ms = ?1, args = ''
         WHERE ended_ms IS NULL AND trying = 0 AND queued = 1 AND until_ms <= ?1 RETURNING *`,
        nowMs,
      )
      .toArray()
      .map(recordOf);
  }

  #isFull({ machine, args }: DeliveryRequest): boolean {
    const waiting = `SELECT count(CASE WHEN machine = ? THEN 1 END) AS calls, coalesce(sum(octet_length(args)), 0) AS bytes
      FROM delivery WHERE ended_ms IS NULL AND queued = 1`;
    const [{ calls, bytes } = { calls: 0, bytes: 0 }] = this.#sql
      .exec<{ calls: number; bytes: number }>(waiting, machine)
      .toArray();
    return calls >= MAX_WAITING || bytes + utf8(args).byteLength > MAX_WAITING_BYTES;
  }

  #consume(condition: string, of: number | string, nowMs: number, ...more: string[]): void {
    this.#sql.exec(
      `UPDATE delivery SET state = 'consumed', consumed_ms = ?2, ended_ms = ?2, trying = 0, args = ''
      WHERE ${condition} AND state IN ('accepted', 'delivered') AND ended_ms IS NULL`,
      of,
      nowMs,
      ...more,
    );
  }

  #finish(id: number, state: DeliveryState, nowMs: number, { answer }: { answer?: string }): void {
    this.#sql.exec(
      `UPDATE delivery SET trying = 0, state = ?2, ended_ms = ?3, answer = coalesce(?4, answer), args = '' WHERE id = ?1 AND ended_ms IS NULL`,
      id,
      state,
      nowMs,
      answer ?? null,
    );
  }

  #pause(id: number): number {
    const attempts = this.get(id)?.attempts ?? 1;
    return Math.min(FIRST_PAUSE_MS * 2 ** Math.min(attempts - 1, 20), LONGEST_PAUSE_MS);
  }

  #trim(nowMs: number): void {
    this.#sql.exec(
      `DELETE FROM delivery WHERE ${FORGETTABLE} AND max(accepted_ms, coalesce(ended_ms, 0)) <= ?`,
      nowMs - KEEP_MS,
    );
    this.#sql.exec(
      `DELETE FROM delivery WHERE id IN (SELECT id FROM
       (SELECT id, row_number() OVER newest AS number, sum(${BYTES}) OVER newest AS bytes FROM delivery WHERE ${FORGETTABLE}
        WINDOW newest AS (ORDER BY id DESC)) WHERE number > ? OR bytes > ?)`,
      MAX_ROWS,
      MAX_KEPT_BYTES,
    );
  }
}

/** What version 0.4 wrote down in place of a digest. Such rows are a day old at most. */
function wholeOf({ machine, tool, args }: DeliveryRequest): string {
  return JSON.stringify([machine, tool, args]);
}

function dueOf({ id, key, machine, identity, tool, args, scope }: Row): Due {
  return { id, key, machine, identity, tool, args, scope };
}

function recordOf(row: Row): DeliveryRecord {
  return {
    id: row.id,
    key: row.key,
    machine: row.machine,
    tool: row.tool,
    state: row.state,
    isQueued: row.queued === 1,
    attempts: row.attempts,
    acceptedMs: row.accepted_ms,
    untilMs: row.until_ms,
    deliveredMs: row.delivered_ms,
    consumedMs: row.consumed_ms,
    endedMs: row.ended_ms,
    mayHaveRun: row.may_have_run === 1,
    answer: row.answer,
    error: row.error,
  };
}
