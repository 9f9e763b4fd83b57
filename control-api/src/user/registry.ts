import { Facts } from "#protocol/control.ts";
import type { Presence } from "#protocol/script-api.ts";
import type { MachineRecord } from "../machines/machine-record.ts";

type Row = {
  name: string;
  slug: string;
  identity: string;
  link_token_hash: string;
  created_ms: number;
  online: number;
  epoch: number;
  last_seen_ms: number | null;
  log_epoch: string | null;
  log_seq: number;
  facts: string | null;
  template: string;
};

/** The table of one user's machines. What the scripts report is kept here, so that no list ever asks them. */
export class Registry {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS machine (
      name TEXT PRIMARY KEY, slug TEXT NOT NULL UNIQUE, identity TEXT NOT NULL, link_token_hash TEXT NOT NULL,
      created_ms INTEGER NOT NULL, online INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, last_seen_ms INTEGER,
      log_epoch TEXT, log_seq INTEGER NOT NULL DEFAULT 0, facts TEXT, template TEXT NOT NULL)`);
  }

  list(): MachineRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM machine ORDER BY name")
      .toArray()
      .map((row) => recordOf(row));
  }

  get(name: string): MachineRecord | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM machine WHERE name = ?", name).toArray();
    return row === undefined ? null : recordOf(row);
  }

  /** Writes a machine that is new, or has another token or identity than before. */
  put(machine: { name: string; slug: string; identity: string; linkTokenHash: string; template: string }): void {
    this.#sql.exec(
      `INSERT INTO machine (name, slug, identity, link_token_hash, created_ms, template) VALUES (?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, link_token_hash = excluded.link_token_hash, template = excluded.template`,
      machine.name,
      machine.slug,
      machine.identity,
      machine.linkTokenHash,
      Date.now(),
      machine.template,
    );
  }

  /** Gives a machine another name and slug. What is known of the machine stays; its new script's links and log begin anew. */
  rename(from: string, to: { name: string; slug: string; template: string }): void {
    this.#sql.exec(
      `UPDATE machine SET name = ?, slug = ?, template = ?, online = 0, epoch = 0, log_epoch = NULL, log_seq = 0 WHERE name = ?`,
      to.name,
      to.slug,
      to.template,
      from,
    );
  }

  delete(name: string): void {
    this.#sql.exec("DELETE FROM machine WHERE name = ?", name);
  }

  /** Takes what a script reports of itself. A word from an earlier link than the last one known changes nothing. */
  record(slug: string, { online, epoch, lastSeenMs, facts, position, template }: Presence): boolean {
    const { rowsWritten } = this.#sql.exec(
      `UPDATE machine SET online = ?, epoch = ?, last_seen_ms = ?, facts = ?, log_epoch = ?, log_seq = ?, template = ?
       WHERE slug = ? AND (epoch <= ?2 OR log_epoch IS NOT ?5) AND NOT (log_epoch IS ?5 AND log_seq > ?6)`,
      online ? 1 : 0,
      epoch,
      lastSeenMs,
      facts === null ? null : JSON.stringify(facts),
      position.epoch,
      position.seq,
      template,
      slug,
    );
    return rowsWritten > 0;
  }
}

function recordOf(row: Row): MachineRecord {
  return {
    name: row.name,
    slug: row.slug,
    identity: row.identity,
    linkTokenHash: row.link_token_hash,
    createdMs: row.created_ms,
    online: row.online === 1,
    epoch: row.epoch,
    lastSeenMs: row.last_seen_ms,
    position: row.log_epoch === null ? null : { epoch: row.log_epoch, seq: row.log_seq },
    facts: row.facts === null ? null : Facts.parse(JSON.parse(row.facts)),
    template: row.template,
  };
}
