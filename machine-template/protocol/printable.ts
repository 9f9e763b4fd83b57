/**
 * Characters of foreign text that a terminal must not receive: control characters (they move the cursor, rename the window, or make
 * the terminal answer as if the user had typed), format characters (U+202E reverses text, zero-width ones hide in it), lone
 * surrogates, private and unassigned characters, everything that Unicode marks as ignorable, and all spaces except U+0020. Also the
 * fifth mark on one letter and those after it: no script needs more than four, and a hundred cover the lines above.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}|\u2800|\p{M}(?<=\p{M}{5})/gu;

/** The common short escapes. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ["\n", String.raw`\n`],
  ["\r", String.raw`\r`],
  ["\t", String.raw`\t`],
]);

/**
 * Foreign text (of a machine, a server, a client, a model or a person) as one line that shows all of its characters. Those that are
 * invisible, or would change what is displayed, are escaped like `\u{202e}`. Nothing is omitted or shortened.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (char) => SHORT.get(char) ?? `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** The same for text of several lines. Line breaks are kept. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/**
 * Foreign text of several lines as part of a text of ours: each line after the first begins with a bar, so that none of them passes for a line
 * of ours.
 */
export function printableQuote(text: string): string {
  return text.split("\n").map(printable).join("\n  | ");
}

/** JSON that is safe to display and has the same value: invisible characters are escaped as in JSON strings. */
export function printableJson(value: unknown, indent?: number): string {
  const text = JSON.stringify(value, null, indent) ?? "null";
  return text
    .split("\n") // line breaks of the indentation; those inside strings are escaped already
    .map((line) => line.replaceAll(UNPRINTABLE, escapeUnits))
    .join("\n");
}

function escapeUnits(char: string): string {
  return Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`).join(
    "",
  );
}
