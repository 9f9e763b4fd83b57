/** Longer code is shown as it is: what is long is mostly output or data, and each coloured word is an element. */
const MAX_CHARACTERS = 12_000;

/**
 * Comments, strings, numbers and words of code in nearly all languages, in the order in which they are tried. A comment or a template without
 * an end reaches to the end of the code, and other strings have 400 characters at most. So nothing is read again and again, and no code
 * takes long.
 */
const TOKENS = new RegExp(
  [
    String.raw`(?<comment>\/\/[^\n]*|\/\*(?:[^*]|\*(?!\/))*(?:\*\/)?|(?<=^|\s)#(?![[{])[^\n]*|(?<=^|\s)--\s[^\n]*)`,
    String.raw`(?<string>"(?:[^"\\\n]|\\.){0,400}"|'(?:[^'\\\n]|\\.){0,400}'|` + "`(?:[^`\\\\]|\\\\[^])*`?)",
    String.raw`(?<number>\b\d[\w.]*)`,
    String.raw`(?<word>[A-Za-z_$][\w$]*)`,
  ].join("|"),
  "gm",
);

/** Words that mean something in the languages that people's agents write most. One list is enough to read code by. */
const KEYWORDS: ReadonlySet<string> = new Set(
  (
    "abstract as async await begin break case catch class const continue def default defer del do elif else elsif end enum " +
    "except export extends fallthrough final finally fn for foreach from func function go goto if impl implements import in " +
    "interface is lambda let loop match mod module mut namespace new not null nil none None True False true false of or and " +
    "package pass private protected pub public raise readonly ref return satisfies select self static struct super switch " +
    "this throw throws trait try type typeof undefined unless unsafe until use using var void when where while with yield " +
    "then fi done esac echo SELECT FROM WHERE INSERT INTO VALUES UPDATE SET DELETE JOIN ON CREATE TABLE"
  ).split(" "),
);

/**
 * Blocks and files that are no code, or mostly prose in which an apostrophe would begin a string. A block without a name is mostly output.
 */
const PLAIN: ReadonlySet<string> = new Set(
  (
    "text txt plain md mdx markdown rst adoc log output console csv tsv license licence readme changelog notice authors " +
    "html htm xml svg"
  ).split(" "),
);

/** A piece of code. The kind is the class of its element: comment, string, number, keyword, or nothing special. */
export type CodeToken = { readonly kind: "c" | "s" | "n" | "k" | null; readonly text: string };

/**
 * Code in pieces that together are the code. It is the same for every language: a mistake costs a colour and nothing else.
 *
 * @param language as the writer of the code named it, which says only whether it is code at all
 * @param limit characters beyond which the code is left as it is
 */
export function codeTokens(text: string, language: string, limit = MAX_CHARACTERS): CodeToken[] {
  if (text.length > limit || language === "" || PLAIN.has(language.toLowerCase())) return [{ kind: null, text }];
  const tokens: CodeToken[] = [];
  let from = 0;
  for (const { index, 0: token, groups = {} } of text.matchAll(TOKENS)) {
    const kind = kindOf(token, groups);
    if (kind === null) continue;
    if (index > from) tokens.push({ kind: null, text: text.slice(from, index) });
    tokens.push({ kind, text: token });
    from = index + token.length;
  }
  if (from < text.length) tokens.push({ kind: null, text: text.slice(from) });
  return tokens;
}

function kindOf(token: string, groups: Readonly<Record<string, string | undefined>>): CodeToken["kind"] {
  if (groups["comment"] !== undefined) return "c";
  if (groups["string"] !== undefined) return "s";
  if (groups["number"] !== undefined) return "n";
  return KEYWORDS.has(token) ? "k" : null;
}
