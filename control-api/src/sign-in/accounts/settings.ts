/** The table of settings of the whole Operator. `claimed_with`: SHA-256 of the claim code with which the owner last claimed it. */
export class Settings {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec("CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL)");
  }

  get(name: "claimed_with"): string | null {
    const [row] = this.#sql.exec<{ value: string }>("SELECT value FROM setting WHERE name = ?", name).toArray();
    return row?.value ?? null;
  }

  put(name: "claimed_with", value: string): void {
    this.#sql.exec(
      "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
      name,
      value,
    );
  }
}
