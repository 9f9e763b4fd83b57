/**
 * Invisible characters: control and format characters (zero-width, bidirectional, byte order mark), unassigned and private ones,
 * everything that Unicode marks as ignorable for display, spaces of every width, and stray combining marks.
 */
const INVISIBLE = /[\p{C}\p{Default_Ignorable_Code_Point}\p{Z}\p{M}\s]/u;

/**
 * Characters that look like a slash. Claude Code 2.1.329 treats only `/` as the start of a command. The others are included in
 * case a later version normalizes its input (NFKC turns the fullwidth slash into `/`).
 */
const SLASHES = new Set(["/", "\uff0f", "\u2044", "\u2215", "\u29f8", "\u2571"]);

/** A command's name: `config`, `mcp__server__prompt`, `plugin:command`. A word with another slash in it is a path. */
const NAME = /^[\p{L}\p{N}_][\p{L}\p{N}_:.-]*$/u;

/**
 * The command that a coding agent might see at the start of a prompt, without its slash and in lower case; `null` when the prompt
 * is plain text. Disguised commands are recognised: leading spaces, newlines and invisible characters, characters that look
 * like a slash, and invisible characters inside the name.
 */
export function commandOf(prompt: string): string | null {
  const visible = skipInvisible(prompt);
  const [first = ""] = visible;
  if (!SLASHES.has(first)) return null;
  const word = wordOf(visible.slice(first.length));
  // Invisible characters are removed before and after normalizing, because a remaining combining mark would merge with the
  // letter before it.
  const name = withoutInvisible(withoutInvisible(word).normalize("NFKC"));
  return NAME.test(name) ? name.toLowerCase() : null;
}

/** Whether the prompt is undisguised: its first character is the slash, and the name follows exactly as written. */
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

/** The text up to the first space or line break, where an agent ends a command's name. */
function wordOf(text: string): string {
  return /^[^\s\p{Z}]*/u.exec(text)?.[0] ?? "";
}
