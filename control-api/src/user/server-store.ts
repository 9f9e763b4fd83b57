import { ServerConfig, type ServerVersion } from "#protocol/hosted-server.ts";
import type { ServerBundle, ServerModule } from "../machines/hosted-form.ts";

/** A hosted server as its owner's database has it. */
export type ServerRecord = {
  name: string;
  slug: string;
  version: number;
  createdMs: number;
  versions: ServerVersion[];
};

/** Versions that are kept for a rollback. The namespace itself keeps the uploaded one only. */
const KEPT_VERSIONS = 5;

/** A value in SQLite may have 2 MB (Durable Objects, "Limits"), so larger modules take several rows. */
const PART_BYTES = 1024 * 1024;

/**
 * The tables of one user's hosted servers.
 *
 *   server          name, slug, the version that is uploaded, and the highest ever, so that no number is used twice
 *   server_version  what each kept version was deployed with
 *   server_module   its modules, in parts
 *   server_wrapper  the version of Operator's wrapper with which it was uploaded; none for servers from before 0.3
 */
export class ServerStore {
  readonly #storage: DurableObjectStorage;
  readonly #sql: SqlStorage;

  constructor(storage: DurableObjectStorage) {
    this.#storage = storage;
    this.#sql = storage.sql;
    this.#sql.exec(`
      CREATE TABLE IF NOT EXISTS server (
        name TEXT PRIMARY KEY, slug TEXT NOT NULL UNIQUE, version INTEGER NOT NULL, highest INTEGER NOT NULL, created_ms INTEGER NOT NULL);
      CREATE TABLE IF NOT EXISTS server_version (
        server TEXT NOT NULL, version INTEGER NOT NULL, created_ms INTEGER NOT NULL, bytes INTEGER NOT NULL, config TEXT NOT NULL,
        PRIMARY KEY (server, version));
      CREATE TABLE IF NOT EXISTS server_module (
        server TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL, part INTEGER NOT NULL,
        name TEXT NOT NULL, type TEXT NOT NULL, content BLOB NOT NULL, PRIMARY KEY (server, version, position, part));
      CREATE TABLE IF NOT EXISTS server_wrapper (server TEXT PRIMARY KEY, wrapper TEXT NOT NULL);
    `);
  }

  list(): ServerRecord[] {
    return this.#sql
      .exec<Row>("SELECT * FROM server ORDER BY name")
      .toArray()
      .map((row) => this.#recordOf(row));
  }

  get(name: string): ServerRecord | null {
    const [row] = this.#sql.exec<Row>("SELECT * FROM server WHERE name = ?", name).toArray();
    return row === undefined ? null : this.#recordOf(row);
  }

  /** The number that the next version of this server gets. */
  nextVersion(name: string): number {
    const [row] = this.#sql.exec<{ highest: number }>("SELECT highest FROM server WHERE name = ?", name).toArray();
    return (row?.highest ?? 0) + 1;
  }

  /** Stores a version that was uploaded, and forgets the oldest. All of it or nothing. */
  add(server: { name: string; slug: string; version: number }, { config, modules }: ServerBundle, nowMs: number): void {
    const { name, slug, version } = server;
    const bytes = modules.reduce((sum, { content }) => sum + content.byteLength, 0);
    this.#storage.transactionSync(() => {
      this.#sql.exec(
        `INSERT INTO server VALUES (?1, ?2, ?3, ?3, ?4)
         ON CONFLICT (name) DO UPDATE SET version = excluded.version, highest = excluded.highest`,
        name,
        slug,
        version,
        nowMs,
      );
      this.#sql.exec(
        "INSERT INTO server_version VALUES (?, ?, ?, ?, ?)",
        name,
        version,
        nowMs,
        bytes,
        JSON.stringify(config),
      );
      for (const [position, module] of modules.entries()) this.#addModule(name, version, position, module);
      const kept = this.#versions(name).map((one) => one.version);
      for (const old of kept.slice(KEPT_VERSIONS)) this.#forget(name, old);
    });
  }

  /** What a kept version was deployed with; `null` if there is no such version. */
  bundle(name: string, version: number): ServerBundle | null {
    const [row] = this.#sql
      .exec<{ config: string }>("SELECT config FROM server_version WHERE server = ? AND version = ?", name, version)
      .toArray();
    if (row === undefined) return null;
    const parts = this.#sql
      .exec<Part>(
        "SELECT position, name, type, content FROM server_module WHERE server = ? AND version = ? ORDER BY position, part",
        name,
        version,
      )
      .toArray();
    const byPosition = Map.groupBy(parts, ({ position }) => position);
    return { config: ServerConfig.parse(JSON.parse(row.config)), modules: [...byPosition.values()].flatMap(joined) };
  }

  /** Records that a kept version is the uploaded one again. */
  select(name: string, version: number): void {
    this.#sql.exec("UPDATE server SET version = ? WHERE name = ?", version, name);
  }

  /** `null` if it is not known. */
  wrapperOf(name: string): string | null {
    const [row] = this.#sql
      .exec<{ wrapper: string }>("SELECT wrapper FROM server_wrapper WHERE server = ?", name)
      .toArray();
    return row?.wrapper ?? null;
  }

  setWrapper(name: string, wrapper: string): void {
    this.#sql.exec("INSERT OR REPLACE INTO server_wrapper VALUES (?, ?)", name, wrapper);
  }

  delete(name: string): void {
    this.#storage.transactionSync(() => {
      this.#sql.exec("DELETE FROM server_wrapper WHERE server = ?", name);
      for (const { version } of this.#versions(name)) this.#forget(name, version);
      this.#sql.exec("DELETE FROM server WHERE name = ?", name);
    });
  }

  #addModule(server: string, version: number, position: number, { name, type, content }: ServerModule): void {
    // An empty module has one empty part.
    for (let part = 0; part === 0 || part * PART_BYTES < content.byteLength; part += 1)
      this.#sql.exec(
        "INSERT INTO server_module VALUES (?, ?, ?, ?, ?, ?, ?)",
        server,
        version,
        position,
        part,
        name,
        type,
        content.slice(part * PART_BYTES, (part + 1) * PART_BYTES),
      );
  }

  #forget(server: string, version: number): void {
    this.#sql.exec("DELETE FROM server_module WHERE server = ? AND version = ?", server, version);
    this.#sql.exec("DELETE FROM server_version WHERE server = ? AND version = ?", server, version);
  }

  #versions(server: string): ServerVersion[] {
    return this.#sql
      .exec<{ version: number; created_ms: number; bytes: number }>(
        "SELECT version, created_ms, bytes FROM server_version WHERE server = ? ORDER BY version DESC",
        server,
      )
      .toArray()
      .map(({ version, created_ms: createdMs, bytes }) => ({ version, createdMs, bytes }));
  }

  #recordOf({ name, slug, version, created_ms: createdMs }: Row): ServerRecord {
    return { name, slug, version, createdMs, versions: this.#versions(name) };
  }
}

type Row = { name: string; slug: string; version: number; created_ms: number };
type Part = { position: number; name: string; type: string; content: ArrayBuffer };

/** A module from its parts, which are in order. */
function joined(parts: readonly Part[]): ServerModule[] {
  const [first] = parts;
  if (first === undefined) return [];
  const content = new Uint8Array(parts.reduce((sum, part) => sum + part.content.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    content.set(new Uint8Array(part.content), at);
    at += part.content.byteLength;
  }
  return [{ name: first.name, type: first.type, content: content.buffer }];
}
