import { printable } from "#protocol/printable.ts";

/** Empty lines in a row that are shown as they are: a paragraph or a section of a file has fewer between it and the next. */
const SHOWN_EMPTY = 3;

/** A line as it is, or how many empty ones of a kind are in its place. */
type Folded<Line, Kind> = { readonly line: Line } | { readonly empty: number; readonly kind: Kind };

/**
 * Folds many empty lines in a row into their number. They would move what follows them, and the buttons, screens away from what stands
 * before them, where nobody looks.
 *
 * @param emptyKind which kind of empty line it is, since only those of one kind are folded together; `null` if it is not empty
 */
export function folded<Line, Kind>(
  lines: readonly Line[],
  emptyKind: (line: Line) => Kind | null,
): Folded<Line, Kind>[] {
  const runs: { readonly kind: Kind | null; readonly lines: Line[] }[] = [];
  for (const line of lines) {
    const kind = emptyKind(line);
    const last = runs.at(-1);
    if (last?.kind === kind) last.lines.push(line);
    else runs.push({ kind, lines: [line] });
  }
  return runs.flatMap(({ kind, lines: run }): Folded<Line, Kind>[] =>
    kind !== null && run.length > SHOWN_EMPTY ? [{ empty: run.length, kind }] : run.map((line) => ({ line })),
  );
}

/** Whether nothing of a line can be seen. Spaces other than these are written out (`printable`). */
export const isEmptyLine = (line: string): boolean => /^[ \t]*$/.test(line);

export function EmptyLines({ count }: { readonly count: number }) {
  return <span class="cut">{`… ${count} empty lines`}</span>;
}

type LinesProps = { readonly text: string; readonly shown?: (line: string) => string };

/** Text of several lines that a person decides by: invisible characters are written out, and many empty lines counted. */
export function AskedLines({ text, shown = printable }: LinesProps) {
  const lines = folded(text.split("\n"), (line) => (isEmptyLine(line) ? true : null));
  return (
    <>
      {lines.map((one, index) => {
        if ("empty" in one) return <EmptyLines count={one.empty} />;
        // A count is a block of its own, so no line break belongs beside it.
        const next = lines[index + 1];
        return next === undefined || "empty" in next ? shown(one.line) : `${shown(one.line)}\n`;
      })}
    </>
  );
}
