import { HIDDEN_IN_TERMINALS } from "./hidden.ts";

/** The common short escapes. */
const SHORT: ReadonlyMap<string, string> = new Map([
  ["\n", String.raw`\n`],
  ["\r", String.raw`\r`],
  ["\t", String.raw`\t`],
]);

/**
 * Foreign text (of a machine, a server, a client, a model or a person) as one line that shows all of its characters. Those that hide, and those
 * that a terminal must not receive (they move its cursor, rename its window, or make it answer as if the user had typed), are escaped like
 * `\u{202e}`. Nothing is omitted or shortened.
 */
export function printable(text: string): string {
  return text.replaceAll(HIDDEN_IN_TERMINALS, (char) => SHORT.get(char) ?? `\\u{${char.codePointAt(0)?.toString(16)}}`);
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
    .map((line) => line.replaceAll(HIDDEN_IN_TERMINALS, escapeUnits))
    .join("\n");
}

function escapeUnits(char: string): string {
  return Array.from({ length: char.length }, (_, at) => `\\u${char.charCodeAt(at).toString(16).padStart(4, "0")}`).join(
    "",
  );
}
