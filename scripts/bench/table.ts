/** Prints tables with a name in the first column and figures in the others. */
export function printTable(title: string, columns: readonly string[], rows: readonly (readonly string[])[]): void {
  console.log(`\n${title}`);
  if (columns.length > 0) console.log(line(["", ...columns]));
  for (const row of rows) console.log(line(row));
}

function line([first = "", ...rest]: readonly string[]): string {
  return first.padEnd(24) + rest.map((cell) => cell.padStart(12)).join("");
}

/** A figure with the given number of decimals; empty if it is unknown. */
export function figure(value: number | null | undefined, decimals: number): string {
  return value === null || value === undefined || Number.isNaN(value) ? "" : value.toFixed(decimals);
}

/** `value` as a multiple of `base`; empty without either. */
export function ratio(value: number | undefined, base: number | undefined): string {
  return value === undefined || base === undefined ? "" : figure(value / base, 2);
}
