import type { Child } from "hono/jsx";
import { Pieces } from "../../design/foreign.tsx";

/** Lines of one diff. More than this nobody reads on a page, and each is an element. */
const MAX_LINES = 6_000;

/** Characters of one line. A longer one is minified code or data. */
const MAX_LINE_CHARACTERS = 2_000;

/** A unified diff from its first `@@` on, line by line. Long lines wrap: on a phone nobody scrolls sideways to read a change. */
export function UnifiedDiff({ text }: { readonly text: string }) {
  const lines = text.split("\n", MAX_LINES + 1);
  if (lines.at(-1) === "" && lines.length <= MAX_LINES) lines.pop();
  return (
    <>
      <pre class="code wrap diff" tabindex={0}>
        {lines.slice(0, MAX_LINES).map(lineOf)}
      </pre>
      {lines.length > MAX_LINES ? <p class="cut">{`… cut after ${MAX_LINES} lines`}</p> : null}
    </>
  );
}

/** The sign is text, so that it can be read without colours, and is copied with the line. */
function lineOf(line: string): Child {
  const body = <Pieces text={line === "" ? " " : line} limit={MAX_LINE_CHARACTERS} />;
  switch (line[0]) {
    case "+":
      return <ins>{body}</ins>;
    case "-":
      return <del>{body}</del>;
    case "@":
      return <span class="hunk">{body}</span>;
    default:
      return <span class="same">{body}</span>;
  }
}
