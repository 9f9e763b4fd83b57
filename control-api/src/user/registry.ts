import { boundedFacts } from "#protocol/bounded.ts";
import { Facts } from "#protocol/control.ts";
import type { LogPosition } from "#protocol/event.ts";
import { parseJson } from "#protocol/json.ts";
import { PRESENCE_LEASE_MS } from "#protocol/limits.ts";
import { LinkStatus, type ReportedPresence } from "#protocol/script-api.ts";
import { columnsOf } from "../columns.ts";
import { PAGE_APPROVALS, type PageApproval, type MachineRecord } from "../machines/machine-record.ts";

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
  /** When `online` expires unless the script reports again; milliseconds since 1970. A script that crashed cannot report "offline". */
  lease_ms: number;
  remote_approval: number;
  elicitation: number;
  page_approval: string;
  link_issued_ms: number;
  link_key: string;
  /** `LinkStatus` as JSON, as last reported. */
  link: string | null;
};

/** The credentials that a machine's link was last issued, and the computer that they were issued to. */
export type IssuedLink = Pick<MachineRecord, "identity" | "linkTokenHash" | "linkIssuedMs" | "linkKey">;
/** A report that changes nothing but the position and the lease is written at most this often, since each write is billed. */
const LEASE_STEP_MS = 60_000;

/** For how long a removed computer is remembered: far longer than a deleted script runs on. Milliseconds. */
const REMOVED_MS = 30 * 24 * 60 * 60_000;

/** For how long it is remembered what was chosen for a computer that lost its name to another: as long as that can be undone. Milliseconds. */
const FORMER_MS = 30 * 24 * 60 * 60_000;

/** The effect of a report. */
export type Recorded = { name: string; hasJustDialled: boolean; wantsFacts: boolean };

/** The table of one user's machines. It stores what the scripts report, so that listing machines needs no request to any script. */
export class Registry {
  readonly #sql: SqlStorage;

  /** Whether the table did not exist before: the user is new, or their database was lost. */
  readonly isNew: boolean;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    this.isNew =
      sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'machine'").toArray().length === 0;
    sql.exec(`CREATE TABLE IF NOT EXISTS machine (
      name TEXT PRIMARY KEY, slug TEXT NOT NULL UNIQUE, identity TEXT NOT NULL, link_token_hash TEXT NOT NULL,
      created_ms INTEGER NOT NULL, online INTEGER NOT NULL DEFAULT 0, epoch INTEGER NOT NULL DEFAULT 0, last_seen_ms INTEGER,
      log_epoch TEXT, log_seq INTEGER NOT NULL DEFAULT 0, facts TEXT, template TEXT NOT NULL, lease_ms INTEGER NOT NULL DEFAULT 0,
      remote_approval INTEGER NOT NULL DEFAULT 0)`);
    // Databases of version 0.1 have no leases. Their machines are shown as online again after their next report.
    const columns = columnsOf(sql, "machine");
    if (!columns.has("lease_ms")) sql.exec("ALTER TABLE machine ADD COLUMN lease_ms INTEGER NOT NULL DEFAULT 0");
    // Databases of version 0.2 do not say whether clients may answer permission requests, so they may not.
    if (!columns.has("remote_approval"))
      sql.exec("ALTER TABLE machine ADD COLUMN remote_approval INTEGER NOT NULL DEFAULT 0");
    if (!columns.has("elicitation")) sql.exec("ALTER TABLE machine ADD COLUMN elicitation INTEGER NOT NULL DEFAULT 0");
    if (!columns.has("page_approval"))
      sql.exec("ALTER TABLE machine ADD COLUMN page_approval TEXT NOT NULL DEFAULT 'session'");
    // Those of version 0.2 know nothing of link keys.
    if (!columns.has("link_key")) {
      sql.exec("ALTER TABLE machine ADD COLUMN link_issued_ms INTEGER NOT NULL DEFAULT 0");
      sql.exec("ALTER TABLE machine ADD COLUMN link_key TEXT NOT NULL DEFAULT ''");
      sql.exec("ALTER TABLE machine ADD COLUMN link TEXT");
    }
    sql.exec(
      "CREATE TABLE IF NOT EXISTS removed_computer (identity TEXT PRIMARY KEY, removed_ms INTEGER NOT NULL) WITHOUT ROWID",
    );
    sql.exec(
      "CREATE TABLE IF NOT EXISTS former_choice (identity TEXT PRIMARY KEY, page_approval TEXT NOT NULL, at_ms INTEGER NOT NULL) WITHOUT ROWID",
    );
    // Each request with a limited token looks up the machines of its identities.
    sql.exec("CREATE INDEX IF NOT EXISTS machine_identity ON machine (identity)");
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

  /** Whether a machine of this name takes calls now. Unlike `get` it does not read what the machine told of itself. */
  isOnline(name: string): boolean {
    return (
      this.#sql.exec("SELECT 1 FROM machine WHERE name = ? AND online = 1 AND lease_ms > ?", name, Date.now()).toArray()
        .length > 0
    );
  }

  has(name: string): boolean {
    return this.#sql.exec("SELECT 1 FROM machine WHERE name = ?", name).toArray().length > 0;
  }

  /** The machine whose script has this slug. */
  ofSlug(slug: string): Pick<MachineRecord, "name" | "position"> | null {
    const [row] = this.#sql
      .exec<Pick<Row, "name" | "log_epoch" | "log_seq">>(
        "SELECT name, log_epoch, log_seq FROM machine WHERE slug = ?",
        slug,
      )
      .toArray();
    return row === undefined ? null : { name: row.name, position: positionOf(row) };
  }

  /** The current name of the computer with this identity. */
  nameOf(identity: string): string | null {
    const [row] = this.#sql
      .exec<{ name: string }>("SELECT name FROM machine WHERE identity = ? ORDER BY created_ms LIMIT 1", identity)
      .toArray();
    return row?.name ?? null;
  }

  /** Whether the computer with this identity was removed, and has not come back since. */
  isRemoved(identity: string): boolean {
    return this.#sql.exec("SELECT 1 FROM removed_computer WHERE identity = ?", identity).toArray().length > 0;
  }

  /**
   * Adds a machine, or gives a known one a new token or identity. What its person allowed for one computer, and what that computer
   * told of itself, does not pass to another that takes over its name. What pages may allow begins with what it was, so that nobody gets rid of a
   * limit by another identity; and a computer that comes back has what was chosen for it.
   */
  put(machine: Pick<MachineRecord, "name" | "slug" | "template"> & IssuedLink): void {
    const { name, identity } = machine;
    const nowMs = Date.now();
    this.#sql.exec("DELETE FROM former_choice WHERE at_ms < ?", nowMs - FORMER_MS);
    this.#sql.exec(
      "INSERT OR REPLACE INTO former_choice SELECT identity, page_approval, ? FROM machine WHERE name = ? AND identity NOT IN (?, '')",
      nowMs,
      name,
      identity,
    );
    const [former] = this.#sql
      .exec<{ page_approval: string }>("DELETE FROM former_choice WHERE identity = ? RETURNING page_approval", identity)
      .toArray();
    this.#sql.exec(
      `INSERT INTO machine (name, slug, identity, link_token_hash, created_ms, template, link_issued_ms, link_key) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
       ON CONFLICT (name) DO UPDATE SET identity = excluded.identity, link_token_hash = excluded.link_token_hash, template = excluded.template,
         link_issued_ms = excluded.link_issued_ms, link_key = excluded.link_key,
         remote_approval = iif(machine.identity = excluded.identity, remote_approval, 0),
         elicitation = iif(machine.identity = excluded.identity, elicitation, 0),
         facts = iif(machine.identity = excluded.identity, facts, NULL),
         online = iif(machine.identity = excluded.identity, online, 0)`,
      name,
      machine.slug,
      identity,
      machine.linkTokenHash ?? "",
      nowMs,
      machine.template,
      machine.linkIssuedMs,
      machine.linkKey ?? "",
    );
    this.#sql.exec("DELETE FROM removed_computer WHERE identity = ?", machine.identity);
    if (former !== undefined)
      this.#sql.exec("UPDATE machine SET page_approval = ? WHERE name = ?", former.page_approval, name);
  }

  /** Adds a machine that was found by its script, unless its name or slug is known already. Unknown fields stay empty. */
  adopt({
    name,
    slug,
    identity,
    template,
  }: {
    name: string;
    slug: string;
    identity: string;
    template: string;
  }): boolean {
    return (
      this.#sql.exec(
        "INSERT OR IGNORE INTO machine (name, slug, identity, link_token_hash, created_ms, template) VALUES (?, ?, ?, '', ?, ?)",
        name,
        slug,
        identity,
        Date.now(),
        template,
      ).rowsWritten > 0
    );
  }

  /** Says whether clients may answer permission requests of a machine. Answers `false` if there is no such machine. */
  setRemoteApproval(name: string, isAllowed: boolean): boolean {
    const set = "UPDATE machine SET remote_approval = ? WHERE name = ?";
    return this.#sql.exec(set, isAllowed ? 1 : 0, name).rowsWritten > 0;
  }

  /** What may be allowed on pages, for the machines where that is less than everything. */
  limitedPageApprovals(): Map<string, PageApproval> {
    const rows = this.#sql
      .exec<{ name: string; approval: string }>(
        "SELECT name, page_approval AS approval FROM machine WHERE page_approval <> 'session'",
      )
      .toArray();
    return new Map(
      rows.map(({ name, approval }) => [name, PAGE_APPROVALS.find((one) => one === approval) ?? "nothing"]),
    );
  }

  /** Says what may be allowed on pages for a machine. Answers `false` if there is no such machine. */
  setPageApproval(name: string, approval: PageApproval): boolean {
    return this.#sql.exec("UPDATE machine SET page_approval = ? WHERE name = ?", approval, name).rowsWritten > 0;
  }

  /** Says whether requests of a machine may be put to its person in an MCP client. Answers `false` if there is no such machine. */
  setElicitation(name: string, isAllowed: boolean): boolean {
    const set = "UPDATE machine SET elicitation = ? WHERE name = ?";
    return this.#sql.exec(set, isAllowed ? 1 : 0, name).rowsWritten > 0;
  }

  /** Stores the identity of a machine whose identity was unknown. */
  identify(name: string, identity: string): void {
    this.#sql.exec("UPDATE machine SET identity = ? WHERE name = ? AND identity = ''", identity, name);
  }

  /** Changes a machine's name and slug. What is known of the computer stays; link epoch and log position restart with the new script. */
  rename(from: string, to: { name: string; slug: string; template: string }): void {
    this.#sql.exec(
      `UPDATE machine SET name = ?, slug = ?, template = ?, online = 0, epoch = 0, log_epoch = NULL, log_seq = 0 WHERE name = ?`,
      to.name,
      to.slug,
      to.template,
      from,
    );
  }

  /** Removes a machine. Its computer is remembered for a while, since its script may go on to report. */
  delete(name: string, nowMs: number): void {
    this.#sql.exec("DELETE FROM removed_computer WHERE removed_ms < ?", nowMs - REMOVED_MS);
    this.#sql.exec(
      "INSERT OR REPLACE INTO removed_computer SELECT identity, ? FROM machine WHERE name = ? AND identity <> ''",
      nowMs,
      name,
    );
    this.#sql.exec("DELETE FROM machine WHERE name = ?", name);
  }

  hasSlug(slug: string): boolean {
    return this.#sql.exec("SELECT 1 FROM machine WHERE slug = ?", slug).toArray().length > 0;
  }

  /**
   * Records a script's report and answers its effect, or `null` if the slug is unknown or the report is older than the last one
   * recorded (reports can overtake each other). An online machine counts as online for `PRESENCE_LEASE_MS` from now.
   */
  record(
    slug: string,
    { online, epoch, lastSeenMs, facts, position, template, link }: ReportedPresence,
    nowMs: number,
  ): Recorded | null {
    const [before] = this.#sql
      .exec<Omit<Row, "facts"> & { hasFacts: number }>(
        `SELECT name, online, epoch, log_epoch, log_seq, template, lease_ms, link, facts IS NOT NULL AS hasFacts
         FROM machine WHERE slug = ?`,
        slug,
      )
      .toArray();
    if (before === undefined) return null;
    const isSameLog = before.log_epoch === position.epoch;
    if (isSameLog && (before.epoch > epoch || before.log_seq > position.seq)) return null;
    const leaseMs = online ? nowMs + PRESENCE_LEASE_MS : 0;
    const linkJson = link === undefined ? null : JSON.stringify(link);
    const isKnown =
      before.link === linkJson &&
      isSameLog &&
      before.online === (online ? 1 : 0) &&
      before.epoch === epoch &&
      before.template === template;
    // While events flow there are several reports a second, which change nothing here but the position.
    if (!isKnown || Math.abs(leaseMs - before.lease_ms) > LEASE_STEP_MS)
      this.#sql.exec(
        `UPDATE machine SET online = ?, epoch = ?, last_seen_ms = ?, log_epoch = ?, log_seq = ?, template = ?, lease_ms = ?, link = ? WHERE slug = ?`,
        online ? 1 : 0,
        epoch,
        lastSeenMs,
        position.epoch,
        position.seq,
        template,
        leaseMs,
        linkJson,
        slug,
      );
    if (facts !== undefined && facts !== null)
      this.#sql.exec("UPDATE machine SET facts = ? WHERE slug = ?", JSON.stringify(boundedFacts(facts)), slug);
    const wantsFacts = facts === undefined && before.hasFacts === 0;
    return { name: before.name, hasJustDialled: online && epoch > before.epoch, wantsFacts };
  }

  /** Marks a machine as offline because its script does not answer. Answers `false` if it was not online. */
  doubt(name: string): boolean {
    return this.#sql.exec("UPDATE machine SET online = 0 WHERE name = ? AND online = 1", name).rowsWritten > 0;
  }

  /** Marks all machines as offline, since all links are gone. */
  doubtAll(): void {
    this.#sql.exec("UPDATE machine SET online = 0 WHERE online = 1");
  }
}

function positionOf({ log_epoch: epoch, log_seq: seq }: Pick<Row, "log_epoch" | "log_seq">): LogPosition | null {
  return epoch === null ? null : { epoch, seq };
}

function recordOf(row: Row): MachineRecord {
  return {
    name: row.name,
    slug: row.slug,
    identity: row.identity,
    linkTokenHash: row.link_token_hash === "" ? null : row.link_token_hash,
    linkIssuedMs: row.link_issued_ms,
    linkKey: row.link_key === "" ? null : row.link_key,
    link: LinkStatus.safeParse(row.link === null ? null : parseJson(row.link)).data ?? null,
    createdMs: row.created_ms,
    online: row.online === 1 && row.lease_ms > Date.now(),
    epoch: row.epoch,
    lastSeenMs: row.last_seen_ms,
    position: positionOf(row),
    facts: factsIn(row.facts),
    template: row.template,
    remoteApproval: row.remote_approval === 1,
    elicitation: row.elicitation === 1,
    // Only a value of `PAGE_APPROVALS` is ever stored. Whatever else stood there would allow nothing.
    pageApproval: PAGE_APPROVALS.find((one) => one === row.page_approval) ?? "nothing",
  };
}

/** Parses the stored facts. Rows from before the size limits are cut to them; a damaged row only loses its own facts. */
function factsIn(json: string | null): Facts | null {
  const facts = Facts.safeParse(json === null ? null : parseJson(json));
  return facts.success ? boundedFacts(facts.data) : null;
}
