/** What is kept of a client's name, wherever it is shown. */
const MAX_CHARACTERS = 80;

/** A name that its client chose, without what nobody can see: signs that turn the reading direction, or move a terminal's cursor. */
export function shownName(name: string): string {
  const visible = name.replaceAll(/\p{C}/gu, "").trim();
  return visible.length > MAX_CHARACTERS ? `${visible.slice(0, MAX_CHARACTERS)}...` : visible;
}
