import { CROWD_COLUMNS, crowdOf, victimIn } from "./crowd.ts";

/**
 * Registered OAuth clients that nobody has allowed anything yet. Anyone may register one without signing in, and each is stored
 * with up to `MAX_REGISTRATION_BYTES` (oauth/registration.ts), so together they take at most 32 MB.
 */
const MAX_UNUSED = 2_000;

/** The table of clients that registered and that no person has allowed in yet. A client that was allowed is not listed here. */
export class UnusedClients {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS unused_client (client TEXT PRIMARY KEY, ${CROWD_COLUMNS})`);
  }

  /** Notes a new client. Answers the clients whose place it takes; the caller deletes their registrations. */
  add(client: string, address: string, nowMs: number): string[] {
    const dropped: string[] = [];
    while (this.#count() >= MAX_UNUSED) {
      const victim = victimIn(this.#sql, "unused_client", "TRUE");
      if (victim === null) break;
      const gone = "DELETE FROM unused_client WHERE rowid = ? RETURNING client";
      dropped.push(
        ...this.#sql
          .exec<{ client: string }>(gone, victim)
          .toArray()
          .map((row) => row.client),
      );
    }
    this.#sql.exec("INSERT OR REPLACE INTO unused_client VALUES (?, ?, ?, ?, ?)", client, ...crowdOf(address), nowMs);
    return dropped;
  }

  /** A person allows a client something, so it stays. */
  keep(client: string): void {
    this.#sql.exec("DELETE FROM unused_client WHERE client = ?", client);
  }

  #count(): number {
    return this.#sql.exec<{ count: number }>("SELECT COUNT(*) AS count FROM unused_client").one().count;
  }
}
