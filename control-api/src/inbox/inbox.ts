import { type AskKind, Settlement } from "#protocol/ask.ts";
import { parseJson } from "#protocol/json.ts";
import type { Bearer } from "../http/caller.ts";
import type { AddedEvent } from "../history/merged-log.ts";
import { inboxNewsOf } from "./asked-event.ts";
import type { AcceptedDecision, AskContent, InboxItem, InboxPage, InboxQuery } from "./inbox-item.ts";
import { MACHINE_WAITING, PAGE_CHARACTERS, PAGE_ITEMS, SETTLED_ROWS, TRIM_SETTLED } from "./limits.ts";

type Row = {
  id: number;
  name: string;
  gone: number;
  request: string;
  session: string | null;
  kind: AskKind;
  asked_ms: number;
  until_ms: number;
  content: string;
  decision: string | null;
  settled: string | null;
  project: string | null;
  title: string | null;
};

const ON_ITS_WAY = "settled IS NULL AND decision IS NOT NULL";

const COLUMNS = `i.id, m.name, m.gone_ms IS NOT NULL AS gone, i.request, i.session, i.kind, i.asked_ms, i.until_ms, i.content, i.decision, i.settled, s.project, s.title
  FROM inbox i JOIN log_machine m ON m.id = i.machine LEFT JOIN session s ON s.machine = i.machine AND s.native = i.session`;

/**
 * What sessions of a person's machines wait for: one row for each request.
 *
 *   inbox  the request as the machine told it (`content`), the decision that was accepted here (`decision`), how it was settled
 *          (`settled`), and `until_ms`, after which nobody waits for it
 *
 * It is made from the events of the merged log, in the same transaction, so each request is here once, in whatever order cuts and restarts
 * bring its events. The machine settles: a row gets `settled` only from the machine's own word (an event, or its answer to a decision),
 * or when nothing can answer any more. A row is settled once and never changes after that.
 */
export class Inbox {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`
      CREATE TABLE IF NOT EXISTS inbox (id INTEGER PRIMARY KEY AUTOINCREMENT, machine INTEGER NOT NULL, request TEXT NOT NULL,
        session TEXT, kind TEXT NOT NULL, asked_ms INTEGER NOT NULL, until_ms INTEGER NOT NULL, content TEXT NOT NULL,
        decision TEXT, settled TEXT, UNIQUE (machine, request));
      CREATE INDEX IF NOT EXISTS inbox_waiting ON inbox (machine) WHERE settled IS NULL;
    `);
  }

  /** Takes in what new events of one machine mean for it. */
  note(machine: number, events: readonly AddedEvent[], nowMs: number): void {
    for (const { type, session, atMs, data } of events) {
      const news = inboxNewsOf(type, data, nowMs);
      if (news === null) continue;
      switch (news.news) {
        case "asked": {
          const askedMs = Math.min(Math.max(atMs, 0), nowMs);
          this.#add(machine, session, news, { askedMs, untilMs: nowMs + news.waitMs });
          break;
        }
        case "settled":
          this.#settleOf(machine, news.request, news.settlement);
          break;
        case "turn_over":
          if (session !== null) this.#endSession(machine, session, nowMs);
          break;
      }
    }
  }

  /** A machine was removed, or its name passed to another computer: nobody can answer its requests from here any more. */
  endMachine(machine: number, nowMs: number): void {
    this.#endAll("machine = ?1", [machine], over("machine_gone", "its machine was removed", nowMs));
  }

  /** Deletes what a person wants forgotten. */
  forget(machine: number, session: string | null): void {
    this.#sql.exec("DELETE FROM inbox WHERE machine = ?1 AND (?2 IS NULL OR session = ?2)", machine, session);
  }

  get(id: number): InboxItem | null {
    const [row] = this.#sql.exec<Row>(`SELECT ${COLUMNS} WHERE i.id = ?`, id).toArray();
    return row === undefined ? null : itemOf(row);
  }

  /** The request by the machine's own id of it. */
  find(machine: number, request: string): InboxItem | null {
    const [row] = this.#sql
      .exec<Row>(`SELECT ${COLUMNS} WHERE i.machine = ? AND i.request = ?`, machine, request)
      .toArray();
    return row === undefined ? null : itemOf(row);
  }

  /**
   * @param ids machines that the reader may see; `null` for all
   */
  list(
    {
      ids,
      session,
      state,
      after,
      isMixed = false,
    }: Omit<InboxQuery, "visible" | "machine"> & { ids: readonly number[] | null },
    nowMs: number,
  ): InboxPage {
    const order = state === "waiting" ? "ASC" : "DESC";
    const mixed = isMixed ? `row_number() OVER (PARTITION BY i.machine ORDER BY i.id ${order}), ` : "";
    const rows = this.#sql
      .exec<Row>(
        `SELECT ${COLUMNS} WHERE (?1 IS NULL OR i.machine IN (SELECT value FROM json_each(?1))) AND (?2 IS NULL OR i.session = ?2)
         AND ${state === "waiting" ? "i.settled IS NULL AND i.until_ms > ?3" : "(i.settled IS NOT NULL OR i.until_ms <= ?3)"}
         AND (?4 IS NULL OR i.id ${state === "waiting" ? ">" : "<"} ?4) ORDER BY ${mixed}i.id ${order} LIMIT ?5`,
        ids === null ? null : JSON.stringify(ids),
        session,
        nowMs,
        after,
        PAGE_ITEMS + 1,
      )
      .toArray();
    const items: InboxItem[] = [];
    let characters = 0;
    for (const row of rows) {
      characters += row.content.length;
      if (items.length === PAGE_ITEMS || (characters > PAGE_CHARACTERS && items.length > 0)) break;
      items.push(itemOf(row));
    }
    return { items, next: items.length < rows.length ? (items.at(-1)?.id ?? null) : null };
  }

  /** How many requests wait. */
  count(nowMs: number): number {
    const count = "SELECT count(*) AS count FROM inbox WHERE settled IS NULL AND until_ms > ?";
    return this.#sql.exec<{ count: number }>(count, nowMs).one().count;
  }

  /** Stores a decision, or takes it back (`null`) because the machine does not accept it. The caller has checked that it is the first. */
  decide(id: number, decision: AcceptedDecision | null): void {
    const json = decision === null ? null : JSON.stringify(decision);
    this.#sql.exec("UPDATE inbox SET decision = ? WHERE id = ? AND settled IS NULL", json, id);
  }

  /** Takes back the decisions that somebody made who has lost access, and that are on their way. */
  withdraw(bearer: Bearer): void {
    this.#sql.exec(`UPDATE inbox SET decision = NULL WHERE ${ON_ITS_WAY} AND decision ->> '$.by.bearer' = ?`, bearer);
  }

  /** What was decided with one grant now belongs to another, which has replaced it. */
  passOn(from: Bearer, to: Bearer): void {
    this.#sql.exec(
      `UPDATE inbox SET decision = json_set(decision, '$.by.bearer', ?) WHERE ${ON_ITS_WAY} AND decision ->> '$.by.bearer' = ?`,
      to,
      from,
    );
  }

  /** Settles a request, unless it was settled before. */
  settle(id: number, settlement: Settlement): void {
    this.#sql.exec("UPDATE inbox SET settled = ? WHERE id = ? AND settled IS NULL", JSON.stringify(settlement), id);
    this.#trim();
  }

  /** Notes that the machine has taken the decision. */
  delivered(id: number, nowMs: number): void {
    this.#sql.exec(
      "UPDATE inbox SET decision = json_set(decision, '$.deliveredMs', ?) WHERE id = ? AND decision IS NOT NULL",
      nowMs,
      id,
    );
  }

  /** Requests whose decision is on its way: of one machine, or of all (`null`). */
  undelivered(machine: string | null): InboxItem[] {
    return this.#sql
      .exec<Row>(
        `SELECT ${COLUMNS} WHERE i.settled IS NULL AND i.decision IS NOT NULL AND (?1 IS NULL OR m.name = ?1) ORDER BY i.id`,
        machine,
      )
      .toArray()
      .map(itemOf);
  }

  #add(
    machine: number,
    session: string | null,
    { request, kind, content }: { request: string; kind: AskKind; content: AskContent },
    { askedMs, untilMs }: { askedMs: number; untilMs: number },
  ): void {
    const added = this.#sql.exec(
      `INSERT OR IGNORE INTO inbox (machine, request, session, kind, asked_ms, until_ms, content) VALUES (?, ?, ?, ?, ?, ?, ?)`,
      machine,
      request,
      session,
      kind,
      askedMs,
      untilMs,
      JSON.stringify(content),
    );
    if (added.rowsWritten === 0) return;
    this.#sql.exec(
      `DELETE FROM inbox WHERE machine = ?1 AND settled IS NULL AND id NOT IN
       (SELECT id FROM inbox WHERE machine = ?1 AND settled IS NULL ORDER BY id DESC LIMIT ?2)`,
      machine,
      MACHINE_WAITING,
    );
  }

  #settleOf(machine: number, request: string, settlement: Settlement): void {
    this.#endAll("machine = ?1 AND request = ?2", [machine, request], settlement);
  }

  #endSession(machine: number, session: string, nowMs: number): void {
    this.#endAll("machine = ?1 AND session = ?2", [machine, session], over("agent", "the turn ended", nowMs));
  }

  #endAll(condition: string, parameters: readonly (number | string)[], settlement: Settlement): void {
    const settled = JSON.stringify(settlement);
    const ended = this.#sql.exec(
      `UPDATE inbox SET settled = ?${parameters.length + 1} WHERE ${condition} AND settled IS NULL`,
      ...parameters,
      settled,
    );
    if (ended.rowsWritten > 0) this.#trim();
  }

  #trim(): void {
    const [newest] = this.#sql
      .exec<{ id: number }>(
        "SELECT id FROM inbox WHERE settled IS NOT NULL ORDER BY id DESC LIMIT 1 OFFSET ?",
        SETTLED_ROWS + TRIM_SETTLED,
      )
      .toArray();
    if (newest === undefined) return;
    this.#sql.exec(
      `DELETE FROM inbox WHERE settled IS NOT NULL AND id NOT IN
       (SELECT id FROM inbox WHERE settled IS NOT NULL ORDER BY id DESC LIMIT ?)`,
      SETTLED_ROWS,
    );
  }
}

/** A settlement by which nothing was allowed, because nobody could decide any more. */
export function over(by: "agent" | "machine_gone" | "expiry" | "machine", reason: string, atMs: number): Settlement {
  return { behavior: "deny", by, who: null, reason, answers: null, atMs };
}

function itemOf(row: Row): InboxItem {
  return {
    ...(parseJson(row.content) as AskContent), // written by #add
    id: row.id,
    machine: row.name,
    machineGone: row.gone === 1,
    request: row.request,
    session: row.session,
    kind: row.kind,
    project: row.project,
    title: row.title,
    askedMs: row.asked_ms,
    untilMs: row.until_ms,
    decision: row.decision === null ? null : (parseJson(row.decision) as AcceptedDecision), // written by `decide`
    settled: row.settled === null ? null : (Settlement.safeParse(parseJson(row.settled)).data ?? null),
  };
}
