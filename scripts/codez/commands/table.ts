import { printable } from "#protocol/printable.ts";

/** Longer cells are shown whole, and move only what follows them in their own row. Names and times are shorter. */
const ALIGNED_CHARACTERS = 40;

/**
 * Formats rows as aligned columns of text. The first row holds the column names. Cells are escaped before they are
 * measured, because other people and machines chose some of them.
 */
export function tableOf(given: readonly (readonly string[])[]): string[] {
  const rows = given.map((row) => row.map(printable));
  const widths = (rows[0] ?? []).map((_, column) =>
    rows.reduce((most, row) => Math.max(most, Math.min(row[column]?.length ?? 0, ALIGNED_CHARACTERS)), 0),
  );
  return rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd(),
  );
}
