/**
 * What does not show: control and format characters (zero-width, bidirectional, byte order mark), unassigned and private
 * ones, everything that Unicode says to ignore when it is displayed, spaces of every width, and stray combining marks.
 */
const INVISIBLE = /[\p{C}\p{Default_Ignorable_Code_Point}\p{Z}\p{M}\s]/u;

/**
 * Characters that show as a slash. Claude Code 2.1.329 takes `/` alone for the start of a command; the others count
 * here as well, so that a version that normalizes its input (NFKC turns the fullwidth one into `/`) changes nothing.
 */
const SLASHES = new Set(["/", "\uff0f", "\u2044", "\u2215", "\u29f8", "\u2571"]);

/** A command's name: `config`, `mcp__server__prompt`, `plugin:command`. What has another slash in it is a path. */
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_:.-]*$/u;

/**
 * The command that a coding agent might see at the start of a prompt, without its slash and in lower case; `null` when
 * the prompt is plain text. Disguises are looked through: leading spaces, newlines and invisible characters, characters
 * that look like a slash, and invisible characters inside the name.
 */
export function commandOf(prompt: string): string | null {
  const visible = skipInvisible(prompt);
  const [first = ""] = visible;
  if (!SLASHES.has(first)) return null;
  const word = wordOf(visible.slice(first.length));
  // Before and after: a mark that is left in would be composed with the letter before it.
  const name = withoutInvisible(withoutInvisible(word).normalize("NFKC"));
  return NAME.test(name) ? name.toLowerCase() : null;
}

/** Whether the prompt is exactly what its author sees: the slash is the first character, and the name is as written. */
export function isPlainCommand(prompt: string, name: string): boolean {
  return prompt.startsWith(`/${name}`) && /^(?:\s|$)/.test(prompt.slice(name.length + 1));
}

function skipInvisible(text: string): string {
  let at = 0;
  for (const char of text) {
    if (!INVISIBLE.test(char)) break;
    at += char.length;
  }
  return text.slice(at);
}

function withoutInvisible(text: string): string {
  return [...text].filter((char) => !INVISIBLE.test(char)).join("");
}

/** Up to the first space or line break, which is where an agent ends a command's name. */
function wordOf(text: string): string {
  return /^[^\s\p{Z}]*/u.exec(text)?.[0] ?? "";
}
