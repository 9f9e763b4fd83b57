/** The script that a renamed machine had before. It is deleted once its link is closed and its last events are reported. */
export type FormerScript = {
  readonly slug: string;
  readonly name: string;
  readonly newSlug: string;
  readonly newName: string;
};

type Row = { slug: string; name: string; new_slug: string; new_name: string };

/**
 * Scripts of renamed machines that are not deleted yet. They are kept in storage: if the object restarts in the middle of a rename, the connector
 * is still linked to such a script, and its next report would make it a machine of its own.
 */
export class FormerScripts {
  readonly #sql: SqlStorage;
  /** By slug. Every report asks for its own, so they are not read from the database each time. */
  readonly #scripts: Map<string, FormerScript>;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      "CREATE TABLE IF NOT EXISTS former_script (slug TEXT PRIMARY KEY, name TEXT NOT NULL, new_slug TEXT NOT NULL, new_name TEXT NOT NULL)",
    );
    const rows = sql.exec<Row>("SELECT * FROM former_script").toArray();
    this.#scripts = new Map(
      rows.map(({ slug, name, new_slug: newSlug, new_name: newName }) => [slug, { slug, name, newSlug, newName }]),
    );
  }

  /** Those that one of these names stands or stood for; all without names. */
  of(names?: readonly string[]): FormerScript[] {
    const all = [...this.#scripts.values()];
    return names === undefined ? all : all.filter((one) => names.includes(one.name) || names.includes(one.newName));
  }

  /** The slug of the machine that had this script. */
  newSlugOf(slug: string): string | null {
    return this.#scripts.get(slug)?.newSlug ?? null;
  }

  add(script: FormerScript): void {
    const { slug, name, newSlug, newName } = script;
    this.#sql.exec("INSERT OR REPLACE INTO former_script VALUES (?, ?, ?, ?)", slug, name, newSlug, newName);
    this.#scripts.set(slug, script);
  }

  delete(slug: string): void {
    this.#sql.exec("DELETE FROM former_script WHERE slug = ?", slug);
    this.#scripts.delete(slug);
  }
}
