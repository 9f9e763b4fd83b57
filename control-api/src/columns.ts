type Sql = { exec<Row extends { name: string }>(query: string): { toArray(): Row[] } };

/** The columns that a table has, by which a database of an earlier version shows what it lacks. */
export function columnsOf(sql: Sql, table: string): ReadonlySet<string> {
  const columns = sql.exec<{ name: string }>(`SELECT name FROM pragma_table_info('${table}')`).toArray();
  return new Set(columns.map(({ name }) => name));
}
