/**
 * Characters that hide in foreign text, or change what is displayed: control characters, format characters (U+202E reverses what follows,
 * zero-width ones hide in a command), lone surrogates, private and unassigned characters, separators of lines and paragraphs, what Unicode marks
 * as ignorable, and U+2800, which is an empty pattern of Braille.
 */
const INVISIBLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}\u2800]/u.source;

/** The fifth mark on one letter and those after it: no script needs more than four, and a hundred cover the lines above. */
const PILED_UP = /\p{M}(?<=\p{M}{5})/u.source;

/** What must not be shown as it is in one line of text. */
export const HIDDEN = new RegExp(`${INVISIBLE}|${PILED_UP}`, "gu");

/**
 * The same for a page, which has lines and fonts of its own. Line breaks and tabs stay. So do U+200C, U+200D and the variation selectors U+FE0E
 * and U+FE0F, without which Persian and most emoji fall apart.
 */
export const HIDDEN_ON_PAGES = new RegExp(
  String.raw`(?!\n|\t|\u200c|\u200d|\ufe0e|\ufe0f)${INVISIBLE}|${PILED_UP}`,
  "gu",
);

/** The same for a terminal, where every space but U+0020 can also be mistaken for another. */
export const HIDDEN_IN_TERMINALS = new RegExp(String.raw`${HIDDEN.source}|(?! )\p{Zs}`, "gu");
