/**
 * Why a script has something left to do with it:
 *
 *   unrecorded  its upload has begun, and no machine or server is recorded for it yet
 *   removed     its machine or server is being removed
 *   renamed     its machine has another script under a new name
 */
export type Unfinished = { readonly slug: string; readonly name: string } & (
  | { readonly because: "unrecorded" | "removed" }
  | { readonly because: "renamed"; readonly newSlug: string; readonly newName: string }
);

type Row = { slug: string; name: string; because: Unfinished["because"]; new_slug: string; new_name: string };

/**
 * Scripts in the dispatch namespace that a change has begun with and not ended. A change awaits the platform between its steps, and the
 * object may be restarted there. So what it is about to do is stored first, and whatever is left is finished when the object starts.
 */
export class UnfinishedScripts {
  readonly #sql: SqlStorage;
  /** By slug. Every report asks for its own, so they are not read from the database each time. */
  readonly #scripts: Map<string, Unfinished>;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(
      `CREATE TABLE IF NOT EXISTS unfinished_script (slug TEXT PRIMARY KEY, name TEXT NOT NULL, because TEXT NOT NULL,
        new_slug TEXT NOT NULL, new_name TEXT NOT NULL)`,
    );
    this.#scripts = new Map(
      sql
        .exec<Row>("SELECT * FROM unfinished_script")
        .toArray()
        .map((row) => [row.slug, unfinishedOf(row)]),
    );
  }

  /** Those that one of these names stands or stood for; all without names. */
  of(names?: readonly string[]): Unfinished[] {
    const all = [...this.#scripts.values()];
    return names === undefined ? all : all.filter((one) => namesOf(one).some((name) => names.includes(name)));
  }

  get(slug: string): Unfinished | null {
    return this.#scripts.get(slug) ?? null;
  }

  add(script: Unfinished): void {
    const { newSlug, newName } = script.because === "renamed" ? script : { newSlug: "", newName: "" };
    const { slug, name, because } = script;
    this.#sql.exec(
      "INSERT OR REPLACE INTO unfinished_script VALUES (?, ?, ?, ?, ?)",
      slug,
      name,
      because,
      newSlug,
      newName,
    );
    this.#scripts.set(slug, script);
  }

  delete(slug: string): void {
    if (!this.#scripts.delete(slug)) return;
    this.#sql.exec("DELETE FROM unfinished_script WHERE slug = ?", slug);
  }
}

/** The names that a script concerns: nothing else may be done under them until it is finished. */
export function namesOf(script: Unfinished): string[] {
  return script.because === "renamed" ? [script.name, script.newName] : [script.name];
}

function unfinishedOf({ slug, name, because, new_slug: newSlug, new_name: newName }: Row): Unfinished {
  return because === "renamed" ? { slug, name, because, newSlug, newName } : { slug, name, because };
}
