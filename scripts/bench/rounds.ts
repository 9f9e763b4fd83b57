/** The figures of one path in one round, by name. */
export type Row = Record<string, number>;

/**
 * Measures paths in turns, several times over, and answers the median of each figure. What else this computer does
 * falls on all paths alike, so that their ratios hold where their absolute figures do not.
 */
export async function inTurns<Path extends { name: string }>(
  rounds: number,
  paths: readonly Path[],
  run: (path: Path) => Promise<Row>,
): Promise<Map<string, Row>> {
  const found = new Map<string, Row[]>(paths.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds; round += 1) for (const path of paths) found.get(path.name)?.push(await run(path));
  return new Map([...found].map(([name, rows]) => [name, medians(rows)]));
}

function medians(rows: readonly Row[]): Row {
  const names = new Set(rows.flatMap((row) => Object.keys(row)));
  return Object.fromEntries([...names].map((name) => [name, median(rows.map((row) => row[name] ?? Number.NaN))]));
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((one, other) => one - other);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}
