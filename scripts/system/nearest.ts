/** Two typing errors in a word of usual length; more, and the guess would be wrong more often than right. */
const MAX_DISTANCE = 3;

/** Longer words are nobody's typing error, and comparing them would take long. */
const MAX_CHARACTERS = 64;

/** The option that `word` was probably meant to be; `null` if none is near. Upper and lower case count as the same. */
export function nearest(word: string, options: readonly string[]): string | null {
  if (word.length > MAX_CHARACTERS) return null;
  let best: { option: string; distance: number } | null = null;
  for (const option of options) {
    const distance = distanceOf(word.toLowerCase(), option.toLowerCase());
    if (distance <= Math.min(MAX_DISTANCE, option.length / 2) && distance < (best?.distance ?? Infinity))
      best = { option, distance };
  }
  return best?.option ?? null;
}

/** Levenshtein distance: insertions, deletions and substitutions of one character each. */
function distanceOf(one: string, other: string): number {
  let row = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (const [index, character] of [...one].entries()) {
    const next = [index + 1];
    for (let column = 1; column <= other.length; column += 1) {
      const substituted = (row[column - 1] ?? 0) + (character === other[column - 1] ? 0 : 1);
      next.push(Math.min(substituted, (row[column] ?? 0) + 1, (next[column - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row.at(-1) ?? 0;
}
