import { type CodeToken, codeTokens } from "./code-token.ts";
import type { DiffLine } from "./diff.ts";

/** Characters of neighbouring lines that are coloured together. `codez serve` lists files with 16 KB of diff each, and more only of one alone. */
const MAX_CODE_CHARACTERS = 40_000;

/** The code of each line, with its colours. */
export type CodeLine = readonly CodeToken[];

/**
 * Colours the lines of a diff as code. The old and the new text are read one after the other, each as a whole: a comment or a template
 * that spans lines keeps its colour, and a quotation mark in a removed line means nothing for the lines that replace it.
 *
 * @returns for each line its tokens, in the order of `lines`
 */
export function diffCode(lines: readonly DiffLine[], language: string): CodeLine[] {
  const side = (other: DiffLine["kind"]): CodeToken[][] =>
    linesOf(
      lines
        .filter(({ kind }) => kind !== other)
        .map(({ text }) => text)
        .join("\n"),
      language,
    );
  const [before, after] = [side("ins").values(), side("del").values()];
  return lines.map(({ kind }) => {
    const old = kind === "ins" ? undefined : before.next().value;
    const young = kind === "del" ? undefined : after.next().value;
    return young ?? old ?? [];
  });
}

/** Tokens, cut at the ends of lines. */
function linesOf(code: string, language: string): CodeToken[][] {
  let line: CodeToken[] = [];
  const lines = [line];
  for (const { kind, text } of codeTokens(code, language, MAX_CODE_CHARACTERS))
    for (const [index, piece] of text.split("\n").entries()) {
      if (index > 0) lines.push((line = []));
      if (piece !== "") line.push({ kind, text: piece });
    }
  return lines;
}

/** How the name of a file says its language, and whether it is code at all: `ts`, `md`, `dockerfile`. */
export function languageOf(path: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
  const dot = name.lastIndexOf(".");
  return dot <= 0 ? name : name.slice(dot + 1, dot + 21);
}
