import { networksOf } from "../address.ts";

/** The columns that a table needs for `victimIn`: where a row came from, from wide to narrow, and when. */
export const CROWD_COLUMNS = "wide TEXT NOT NULL, middle TEXT NOT NULL, address TEXT NOT NULL, at_ms INTEGER NOT NULL";

/** The values of these columns, without the time. */
export function crowdOf(address: string): [wide: string, middle: string, address: string] {
  const [wide = address, middle = wide] = networksOf(address);
  return [wide, middle, address];
}

/**
 * The row that has to go when a table that strangers fill is full. It is found from the wide to the narrow: the network with the
 * most rows, in it the smaller network with the most, in that the address with the most, and of that the oldest row. So those
 * who fill the table replace their own rows, whether they have one address, a data centre's or an IPv6 /32, and somebody with a
 * single row keeps it. A limit for everybody together would let them lock all others out instead.
 *
 * @param condition SQL for the rows that may go
 */
export function victimIn(sql: SqlStorage, table: "device" | "unused_client", condition: string): number | null {
  let where = condition;
  const chosen: string[] = [];
  for (const level of ["wide", "middle", "address"]) {
    const [row] = sql
      .exec<{ network: string }>(
        `SELECT ${level} AS network FROM ${table} WHERE ${where} GROUP BY ${level} ORDER BY COUNT(*) DESC, MIN(at_ms) LIMIT 1`,
        ...chosen,
      )
      .toArray();
    if (row === undefined) return null;
    where += ` AND ${level} = ?`;
    chosen.push(row.network);
  }
  const oldest = `SELECT rowid AS row FROM ${table} WHERE ${where} ORDER BY at_ms LIMIT 1`;
  return sql.exec<{ row: number }>(oldest, ...chosen).toArray()[0]?.row ?? null;
}
