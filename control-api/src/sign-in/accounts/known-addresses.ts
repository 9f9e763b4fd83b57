import { UNKNOWN_ADDRESS } from "../address.ts";

/** Addresses remembered per person. Phones change theirs often; an address that was not used for long may be announced again. */
const MAX_PER_PERSON = 100;

/** The table of addresses from which a person has signed in, so that a sign-in from a new one can be announced. */
export class KnownAddresses {
  readonly #sql: SqlStorage;

  constructor(sql: SqlStorage) {
    this.#sql = sql;
    sql.exec(`CREATE TABLE IF NOT EXISTS known_address (
      person TEXT NOT NULL, address TEXT NOT NULL, used_ms INTEGER NOT NULL, PRIMARY KEY (person, address))`);
  }

  /** Notes a sign-in. Answers whether its address is new. The first address of a person is not: nobody is there to be told. */
  note(person: string, address: string, nowMs: number): boolean {
    const { all, same } = this.#sql
      .exec<{ all: number; same: number }>(
        'SELECT COUNT(*) AS "all", COUNT(CASE WHEN address = ? THEN 1 END) AS same FROM known_address WHERE person = ?',
        address,
        person,
      )
      .one();
    this.#sql.exec("INSERT OR REPLACE INTO known_address VALUES (?, ?, ?)", person, address, nowMs);
    this.#sql.exec(
      `DELETE FROM known_address WHERE person = ?1 AND used_ms < (
         SELECT used_ms FROM known_address WHERE person = ?1 ORDER BY used_ms DESC LIMIT 1 OFFSET ${MAX_PER_PERSON - 1})`,
      person,
    );
    return all > 0 && same === 0;
  }

  /** Whether a person has signed in from an address before. The unknown address is everybody's, so it is never known. */
  has(person: string, address: string): boolean {
    if (address === UNKNOWN_ADDRESS) return false;
    const rows = this.#sql.exec("SELECT 1 FROM known_address WHERE person = ? AND address = ?", person, address);
    return rows.toArray().length > 0;
  }

  deleteAll(person: string): void {
    this.#sql.exec("DELETE FROM known_address WHERE person = ?", person);
  }
}
