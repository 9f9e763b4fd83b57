import { HIDDEN } from "#protocol/hidden.ts";

/** Longest client name that is shown; the rest is cut off. */
const MAX_CHARACTERS = 80;

/**
 * A client's self-chosen name, made safe to show to a person who decides whether to trust it. Invisible characters are removed:
 * bidirectional overrides could make the name read as another one, and control characters could move a terminal's cursor. A name in
 * which nothing can be seen would leave a gap in our own sentences.
 */
export function shownName(name: string): string {
  const visible = name.replaceAll(/\s+/g, " ").replaceAll(HIDDEN, "").trim();
  if (visible === "") return "An app without a name";
  return visible.length > MAX_CHARACTERS ? `${visible.slice(0, MAX_CHARACTERS).toWellFormed()}...` : visible;
}
