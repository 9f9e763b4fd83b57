/**
 * Characters of foreign text that a page must not show as they are: control characters, format characters (U+202E reverses what
 * follows, zero-width ones hide in a command), lone surrogates, private and unassigned characters, separators of lines, and what
 * Unicode marks as ignorable; also the fifth mark on one letter and those after it, of which a hundred cover the lines above. Line breaks and tabs stay. So do U+200C, U+200D and the variation selectors U+FE0E and U+FE0F, without
 * which Persian and most emoji fall apart.
 */
const HIDDEN =
  /(?!\n|\t|\u200c|\u200d|\ufe0e|\ufe0f)[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]|\p{M}(?<=\p{M}{5})/gu;

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
  for (const { index, 0: hidden } of text.matchAll(HIDDEN)) {
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
