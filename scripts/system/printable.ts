/**
 * What a terminal must not get from somebody else's text: control characters (they move the cursor, rename the window,
 * answer as if typed), format characters (U+202E shows text backwards, zero-width ones hide in it), lone surrogates,
 * private and unassigned ones, everything that Unicode says not to display, and spaces that are none of U+0020.
 */
const UNPRINTABLE = /[\p{C}\p{Zl}\p{Zp}\p{Default_Ignorable_Code_Point}]|(?! )\p{Zs}|\u2800/gu;

/** The short forms that everybody knows. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ["\n", String.raw`\n`],
  ["\r", String.raw`\r`],
  ["\t", String.raw`\t`],
]);

/**
 * Text that a machine, a server, a client, a model or a person wrote, as one line that shows each of its characters:
 * what would not show, or would change what shows, is written as `\u{202e}`. Nothing is left out and nothing is cut.
 */
export function printable(text: string): string {
  return text.replaceAll(UNPRINTABLE, (char) => SHORT.get(char) ?? `\\u{${char.codePointAt(0)?.toString(16)}}`);
}

/** The same for text of several lines whose line breaks are ours. */
export function printableLines(text: string): string {
  return text.split("\n").map(printable).join("\n");
}

/** JSON that is safe to show and still the same JSON: what does not show is escaped as JSON escapes it. */
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
