import { type Rollout, type RolloutMachine, RolloutMode, RolloutStep } from "#protocol/rollout.ts";

/** A rollout without its machines. */
export type RolloutHead = Omit<Rollout, "machines"> & {
  /** Changes with each start, pause and resume. A step that was scheduled before does nothing. */
  run: string;
};

/** A machine in it, with what only the rollout needs to know. */
export type RolloutRow = RolloutMachine & {
  /** When its new script was first seen to run; `null` if it was not yet. */
  seenMs: number | null;
  /** Its server answered before the upload, so it must answer afterwards. */
  answered: boolean;
  /** Checks in a row that failed. */
  misses: number;
};

type Row = {
  name: string;
  canary: number;
  step: string;
  before_template: string;
  since_ms: number;
  seen_ms: number | null;
  reason: string | null;
  answered: number;
  misses: number;
};

/** A value in SQLite may have 2 MB (Durable Objects, "Limits"). A template has more. */
const PART_CHARACTERS = 512 * 1024;

/**
 * The tables of one user's rollout. Every decision is written before anything is done about it, so that a rollout goes on where it was
 * when this object is restarted.
 *
 *   rollout            the current rollout, or the last one, as JSON
 *   rollout_machine    its machines
 *   rollout_template   the code of templates that machines had before, for the way back
 */
export class RolloutStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS rollout (id INTEGER PRIMARY KEY CHECK (id = 1), mode TEXT NOT NULL, head TEXT);
      CREATE TABLE IF NOT EXISTS rollout_machine (
        name TEXT PRIMARY KEY, canary INTEGER NOT NULL, step TEXT NOT NULL, before_template TEXT NOT NULL, since_ms INTEGER NOT NULL,
        seen_ms INTEGER, reason TEXT, answered INTEGER NOT NULL, misses INTEGER NOT NULL);
      CREATE INDEX IF NOT EXISTS rollout_machine_step ON rollout_machine (step);
      CREATE TABLE IF NOT EXISTS rollout_template (
        template TEXT NOT NULL, part INTEGER NOT NULL, code TEXT NOT NULL, PRIMARY KEY (template, part));
    `);
  }

  get mode(): RolloutMode {
    const [row] = this.#sql.exec<{ mode: string }>("SELECT mode FROM rollout").toArray();
    return row === undefined ? "automatic" : RolloutMode.parse(row.mode);
  }

  set mode(mode: RolloutMode) {
    this.#sql.exec("INSERT INTO rollout VALUES (1, ?, NULL) ON CONFLICT (id) DO UPDATE SET mode = excluded.mode", mode);
  }

  get head(): RolloutHead | null {
    const [row] = this.#sql.exec<{ head: string | null }>("SELECT head FROM rollout").toArray();
    return row === undefined || row.head === null ? null : (JSON.parse(row.head) as RolloutHead); // written below
  }

  set head(head: RolloutHead) {
    this.#sql.exec(
      "INSERT INTO rollout VALUES (1, 'automatic', ?) ON CONFLICT (id) DO UPDATE SET head = excluded.head",
      JSON.stringify(head),
    );
  }

  /** Begins a rollout in place of the last one. */
  begin(head: RolloutHead, machines: readonly RolloutRow[]): void {
    this.#storage.transactionSync(() => {
      this.#sql.exec("DELETE FROM rollout_machine");
      this.#sql.exec("DELETE FROM rollout_template");
      this.head = head;
      for (const machine of machines) this.#add(machine);
    });
  }

  #add({ name, isCanary, step, before, sinceMs, seenMs, reason, answered, misses }: RolloutRow): void {
    this.#sql.exec(
      "INSERT INTO rollout_machine VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
      name,
      isCanary ? 1 : 0,
      step,
      before,
      sinceMs,
      seenMs,
      reason,
      answered ? 1 : 0,
      misses,
    );
  }

  /** Records how a machine is now, unless it has left the rollout meanwhile. */
  put({ name, step, sinceMs, seenMs, reason, answered, misses }: RolloutRow): void {
    this.#sql.exec(
      `UPDATE rollout_machine SET step = ?, since_ms = ?, seen_ms = ?, reason = ?, answered = ?, misses = ? WHERE name = ?`,
      step,
      sinceMs,
      seenMs,
      reason,
      answered ? 1 : 0,
      misses,
      name,
    );
  }

  has(name: string): boolean {
    return this.#sql.exec("SELECT 1 FROM rollout_machine WHERE name = ?", name).toArray().length > 0;
  }

  forget(name: string): void {
    this.#sql.exec("DELETE FROM rollout_machine WHERE name = ?", name);
  }

  machines(): RolloutRow[] {
    return this.#sql
      .exec<Row>("SELECT * FROM rollout_machine ORDER BY canary DESC, name")
      .toArray()
      .map((row) => rowOf(row));
  }

  /** Machines at one of these steps: canaries first, then by name. */
  at(...steps: readonly RolloutStep[]): RolloutRow[] {
    const marks = steps.map(() => "?").join(", ");
    return this.#sql
      .exec<Row>(`SELECT * FROM rollout_machine WHERE step IN (${marks}) ORDER BY canary DESC, name`, ...steps)
      .toArray()
      .map((row) => rowOf(row));
  }

  hasTemplate(template: string): boolean {
    return this.#sql.exec("SELECT 1 FROM rollout_template WHERE template = ?", template).toArray().length > 0;
  }

  keepTemplate(template: string, code: string): void {
    this.#storage.transactionSync(() => {
      for (let part = 0; part * PART_CHARACTERS < code.length; part += 1)
        this.#sql.exec(
          "INSERT OR REPLACE INTO rollout_template VALUES (?, ?, ?)",
          template,
          part,
          code.slice(part * PART_CHARACTERS, (part + 1) * PART_CHARACTERS),
        );
    });
  }

  /** @throws when it was not kept */
  template(template: string): string {
    const parts = this.#sql
      .exec<{ code: string }>("SELECT code FROM rollout_template WHERE template = ? ORDER BY part", template)
      .toArray();
    if (parts.length === 0) throw new Error(`the code of template ${template} was not kept`);
    return parts.map(({ code }) => code).join("");
  }
}

function rowOf(row: Row): RolloutRow {
  return {
    name: row.name,
    isCanary: row.canary === 1,
    step: RolloutStep.parse(row.step),
    before: row.before_template,
    sinceMs: row.since_ms,
    seenMs: row.seen_ms,
    reason: row.reason,
    answered: row.answered === 1,
    misses: row.misses,
  };
}
