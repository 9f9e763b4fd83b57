import type { Child } from "hono/jsx";
import { Foreign, Pieces } from "../../design/foreign.tsx";
import { Code } from "./code.tsx";
import { BULLET, FENCE, HEADING, NUMBERED, TABLE } from "./line-mark.ts";

/** Blocks of one text. Each becomes an element or a few; a text of empty lines must not become a million. */
const MAX_BLOCKS = 400;

type Block = {
  readonly kind: "code" | "heading" | "list" | "numbers" | "text";
  readonly lines: string[];
  /** Of fenced code, as its writer named it; `null` for what is no code, such as a table. */
  readonly language?: string | null;
};

/**
 * What a model or a person wrote, in the little Markdown that matters for reading: code, headings, lists, `code` and **bold**. Links
 * are not made, because a machine could hide where one leads. It reads each line once, so no text takes long.
 */
export function Prose({ text, limit }: { readonly text: string; readonly limit: number }) {
  const shown = text.slice(0, limit);
  const left = text.length - shown.length;
  const blocks = blocksIn(shown);
  return (
    <>
      {blocks.slice(0, MAX_BLOCKS).map(elementOf)}
      {blocks.length > MAX_BLOCKS ? <Rest lines={blocks.slice(MAX_BLOCKS).flatMap(({ lines }) => lines)} /> : null}
      {left > 0 ? <span class="cut">… and {left} more characters</span> : null}
    </>
  );
}

function blocksIn(text: string): Block[] {
  const blocks: Block[] = [];
  let fence: string | null = null;
  for (const line of text.replaceAll("\r\n", "\n").split("\n")) {
    const last = blocks.at(-1);
    const marks = FENCE.exec(line)?.[1] ?? null;
    if (fence !== null) {
      if (marks !== null && marks.startsWith(fence)) fence = null;
      else last?.lines.push(line);
    } else if (marks !== null) {
      fence = marks;
      blocks.push({ kind: "code", lines: [], language: line.trim().slice(marks.length).trim() });
    } else add(blocks, line);
  }
  return blocks.filter(({ kind, lines }) => kind === "code" || lines.some((line) => line !== ""));
}

function add(blocks: Block[], line: string): void {
  const last = blocks.at(-1);
  const kind: Block["kind"] = HEADING.test(line)
    ? "heading"
    : TABLE.test(line)
      ? "code"
      : BULLET.test(line)
        ? NUMBERED.test(line)
          ? "numbers"
          : "list"
        : "text";
  const goesOn = last !== undefined && last.kind === kind && kind !== "heading" && last.lines.at(-1) !== "";
  if (line.trim() === "") blocks.push({ kind: "text", lines: [""] });
  else if (goesOn) last.lines.push(line);
  else blocks.push({ kind, lines: [line] });
}

function elementOf({ kind, lines, language = null }: Block): Child {
  switch (kind) {
    case "code":
      return (
        <pre class="code" tabindex={0}>
          {language === null ? (
            <Pieces text={lines.join("\n")} limit={Number.MAX_SAFE_INTEGER} />
          ) : (
            <Code text={lines.join("\n")} language={language} />
          )}
        </pre>
      );
    case "heading":
      return (
        <h2>
          <Inline text={HEADING.exec(lines[0] ?? "")?.[1] ?? ""} />
        </h2>
      );
    case "list":
      return <ul>{items(lines)}</ul>;
    case "numbers":
      return <ol>{items(lines)}</ol>;
    case "text":
      return (
        <p dir="auto">
          <Inline text={lines.join("\n")} />
        </p>
      );
  }
}

function items(lines: readonly string[]): Child {
  return lines.map((line) => (
    <li dir="auto">
      <Inline text={BULLET.exec(line)?.[1] ?? line} />
    </li>
  ));
}

/** `code` and **bold** in a line. Neither nests, so a text of marks only is as quick to read as any other. */
function Inline({ text }: { readonly text: string }) {
  return (
    <bdi>
      {text.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/).map((piece) =>
        piece.length > 2 && piece.startsWith("`") && piece.endsWith("`") ? (
          <code>
            <Pieces text={piece.slice(1, -1)} limit={piece.length} />
          </code>
        ) : piece.length > 4 && piece.startsWith("**") && piece.endsWith("**") ? (
          <strong>
            <Pieces text={piece.slice(2, -2)} limit={piece.length} />
          </strong>
        ) : piece === "" ? null : (
          <Pieces text={piece} limit={piece.length} />
        ),
      )}
    </bdi>
  );
}

function Rest({ lines }: { readonly lines: readonly string[] }) {
  const text = lines.join("\n");
  return (
    <pre class="code wrap" tabindex={0}>
      <Foreign text={text} limit={text.length} />
    </pre>
  );
}
