import { kernel } from "./kernel.ts";

/** Tables of SQLite's own, which have no prefix. */
const OWN = new Set(["json_each", "pragma_table_info", "sqlite_master", "SELECT", "SET", "CONFLICT", "NOT"]);

const AFTER_KEYWORD = /\b(FROM|JOIN|INTO|UPDATE|(?:TABLE|INDEX)(?: IF NOT EXISTS)?|ON(?= \w+ \()) (\w+)/g;
const QUALIFIED = /(?<![.\w'])((?:log_\w+|machine|session|server\w*|audit\w*))\.(?=[a-z_])/g;
const COMMA_JOIN = /, (log_machine) m\b/g;
const TEXT = /(pragma_table_info\(|AND name = )'(\w+)'/g;

const CREATE = /^\s*CREATE /;
const WRITTEN = /\bINTO (\w+)/;

/** What was created in this database. Scenarios leave their tables to the next one, emptied, because to create them takes long. */
const created = new Set<string>();

/**
 * The storage of many simulated objects in the one database that a real Durable Object has: each object's tables have a prefix. The
 * statements are those of the code under simulation. One that this misses names a table which does not exist, and fails.
 */
export class PrefixedSql {
  readonly #sql: SqlStorage;
  readonly #prefix: string;
  readonly #rewritten: Map<string, string>;
  readonly #dirty = new Set<string>();
  /** Whether the object believes its storage to be new. */
  #isEmpty = true;

  constructor(sql: SqlStorage, prefix: string) {
    this.#sql = sql;
    this.#prefix = prefix;
    this.#rewritten = rewrittenFor(prefix);
  }

  exec(query: string, ...bindings: never[]): unknown {
    kernel.touch();
    const text = this.#text(query);
    if (CREATE.test(query)) {
      this.#isEmpty = false;
      if (created.has(text)) return NOTHING;
      created.add(text);
    } else if (this.#isEmpty && query.includes("sqlite_master")) return NOTHING;
    const written = WRITTEN.exec(text)?.[1];
    if (written !== undefined) this.#dirty.add(written);
    return this.#sql.exec(text, ...bindings);
  }

  /** Deletes everything. */
  drop(): void {
    for (const table of this.#dirty) this.#sql.exec(`DELETE FROM ${table}`);
    if (this.#dirty.size > 0) this.#sql.exec("DELETE FROM sqlite_sequence WHERE name GLOB ?", `${this.#prefix}*`);
    this.#dirty.clear();
    this.#isEmpty = true;
  }

  #text(query: string): string {
    const known = this.#rewritten.get(query);
    if (known !== undefined) return known;
    const text = query
      .replaceAll(AFTER_KEYWORD, (whole, keyword: string, name: string) =>
        OWN.has(name) ? whole : `${keyword} ${this.#prefix}${name}`,
      )
      .replaceAll(QUALIFIED, `${this.#prefix}$1.`)
      .replaceAll(COMMA_JOIN, `, ${this.#prefix}$1 m`)
      .replaceAll(TEXT, `$1'${this.#prefix}$2'`);
    this.#rewritten.set(query, text);
    return text;
  }
}

/** The answer of a statement that creates what is there. */
const NOTHING = { toArray: (): [] => [], rowsWritten: 0, rowsRead: 0 };

const rewrittenByPrefix = new Map<string, Map<string, string>>();

function rewrittenFor(prefix: string): Map<string, string> {
  const known = rewrittenByPrefix.get(prefix) ?? new Map<string, string>();
  rewrittenByPrefix.set(prefix, known);
  return known;
}
