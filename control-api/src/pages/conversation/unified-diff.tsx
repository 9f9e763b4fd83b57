import type { Child } from "hono/jsx";
import { Pieces } from "../../design/foreign.tsx";
import { Tokens } from "./code.tsx";
import { diffCode, languageOf } from "./diff-code.ts";
import { diffLine } from "./diff-line.tsx";
import type { DiffLine } from "./diff.ts";

/** Lines of one diff. More than this nobody reads on a page, and each is an element. */
const MAX_LINES = 6_000;

/** Characters of one line. A longer one is minified code or data. */
const MAX_LINE_CHARACTERS = 2_000;

/** A line that says where in the file (`@@`) or that its last line has no end (`\\`), and the lines of the file that follow. */
type Hunk = { readonly head: string | null; readonly lines: DiffLine[] };

type DiffProps = {
  readonly text: string;
  readonly path: string;
  /** Whether the code has colours. They make a page several times as large. */
  readonly isColoured: boolean;
};

/**
 * A unified diff from its first `@@` on, line by line, its code in colours. Long lines wrap: on a phone nobody scrolls sideways to read a
 * change.
 */
export function UnifiedDiff({ text, path, isColoured }: DiffProps) {
  const lines = text.split("\n", MAX_LINES + 1);
  if (lines.at(-1) === "" && lines.length <= MAX_LINES) lines.pop();
  const language = isColoured ? languageOf(path) : "";
  return (
    <>
      <pre class="code wrap diff" tabindex={0}>
        {hunksIn(lines.slice(0, MAX_LINES)).map((hunk) => hunkOf(hunk, language))}
      </pre>
      {lines.length > MAX_LINES ? <p class="cut">{`… cut after ${MAX_LINES} lines`}</p> : null}
    </>
  );
}

function hunksIn(lines: readonly string[]): Hunk[] {
  const hunks: Hunk[] = [];
  for (const line of lines) {
    const isHead = line.startsWith("@") || line.startsWith("\\");
    if (isHead || hunks.length === 0) hunks.push({ head: isHead ? line : null, lines: [] });
    if (isHead) continue;
    const kind = line.startsWith("+") ? "ins" : line.startsWith("-") ? "del" : "same";
    // A line without any sign is no line of a diff, and nothing of it is taken away.
    hunks.at(-1)?.lines.push({ kind, text: kind === "same" && !line.startsWith(" ") ? line : line.slice(1) });
  }
  return hunks;
}

function hunkOf({ head, lines }: Hunk, language: string): Child {
  // A long line is cut, so it is not read as code, in which the rest of it would be missing.
  const isShort = lines.every(({ text }) => text.length <= MAX_LINE_CHARACTERS);
  const code = isShort ? diffCode(lines, language) : null;
  return (
    <>
      {head === null ? null : (
        <span class="hunk">
          <Pieces text={head} limit={MAX_LINE_CHARACTERS} />
        </span>
      )}
      {lines.map(({ kind, text }, index) =>
        diffLine(
          kind,
          code === null ? <Pieces text={text} limit={MAX_LINE_CHARACTERS} /> : <Tokens tokens={code[index] ?? []} />,
        ),
      )}
    </>
  );
}
