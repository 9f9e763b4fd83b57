/**
 * The first address of the remote `origin` in the text of a git configuration, as git reads it (git-config, "Syntax"): a value may be quoted as
 * a whole or in parts, go on in the next line, and be followed by a comment. What reads it otherwise cannot find the password in it.
 */
export function originIn(config: string): string | null {
  // A backslash at the end of a line joins it with the next one; every other one belongs to the character after it.
  const lines = config.replaceAll(/\\(\r?\n|[^])/g, (pair, next: string) => (next.endsWith("\n") ? "" : pair));
  let isOrigin = false;
  for (const line of lines.split(/\r?\n/)) {
    // The spaces before the bracket are a part of the name: what could be in either would be tried in both, for each of a long line of them.
    const [header, name] = /^\s*\[([^"\]]*(?:"(?:[^"\\]|\\.)*"\s*)?)\]/.exec(line) ?? [];
    if (name !== undefined)
      isOrigin = /^remote\s+"origin"$/.test(name.trimEnd().replace(/^\w+/, (section) => section.toLowerCase()));
    const value = isOrigin ? /^\s*url\s*=(.*)$/is.exec(line.slice(header?.length ?? 0))?.[1] : undefined;
    if (value !== undefined) return valueOf(value);
  }
  return null;
}

/** A part of a value: what is in quotes, an escaped character, a comment, or anything else. */
const PART = /"((?:[^"\\]|\\.)*)"?|\\(.)|[#;].*|([^"\\#;]+)/gs;

function valueOf(written: string): string {
  let value = "";
  for (const [part, quoted, escaped, plain] of written.matchAll(PART)) {
    if (/^[#;]/.test(part)) break;
    value += quoted?.replaceAll(/\\(.)/gs, "$1") ?? escaped ?? plain ?? "";
  }
  return value.trim();
}
