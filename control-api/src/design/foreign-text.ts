import { HIDDEN_ON_PAGES } from "#protocol/hidden.ts";

/** A piece of foreign text: as it is, or an escape such as `\u{202e}` in place of a character that would mislead. */
export type Piece = { readonly text: string; readonly isEscape: boolean };

/**
 * Foreign text (of a machine, a model or a client) in pieces that are safe to show. Nothing is left out unmarked: a hidden character
 * becomes an escape, and what is beyond `limit` characters is counted in `cut`.
 */
export function piecesOf(whole: string, limit: number): { readonly pieces: readonly Piece[]; readonly cut: number } {
  const end = whole.length <= limit ? whole.length : limit;
  const text = whole.slice(0, end).replaceAll("\r\n", "\n");
  const pieces: Piece[] = [];
  let from = 0;
  for (const { index, 0: hidden } of text.matchAll(HIDDEN_ON_PAGES)) {
    if (index > from) pieces.push({ text: text.slice(from, index), isEscape: false });
    pieces.push({ text: escapeOf(hidden), isEscape: true });
    from = index + hidden.length;
  }
  if (from < text.length) pieces.push({ text: text.slice(from), isEscape: false });
  return { pieces: together(pieces), cut: whole.length - end };
}

/** The same as one string, for places that cannot hold elements: attributes and titles. */
export function plainOf(whole: string, limit: number): string {
  const { pieces, cut } = piecesOf(whole, limit);
  const text = pieces
    .map((piece) => piece.text)
    .join("")
    .replaceAll(/\s+/g, " ");
  return cut === 0 ? text : `${text}…`;
}

/** One element for each run of escapes. A megabyte of zero-width spaces would otherwise become as many elements. */
function together(pieces: readonly Piece[]): Piece[] {
  const joined: Piece[] = [];
  for (const piece of pieces) {
    const last = joined.at(-1);
    if (last !== undefined && last.isEscape === piece.isEscape)
      joined[joined.length - 1] = { ...piece, text: last.text + piece.text };
    else joined.push(piece);
  }
  return joined;
}

function escapeOf(char: string): string {
  if (char === "\r") return String.raw`\r`;
  return `\\u{${char.codePointAt(0)?.toString(16) ?? ""}}`;
}
