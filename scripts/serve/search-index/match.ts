/** The terms of a query: sequences of letters and digits, and quoted phrases as one term each. */
export function termsOf(query: string): string[] {
  const found = query.toLowerCase().matchAll(/"([^"]+)"|([\p{L}\p{N}_]+)/gu);
  return [...found]
    .map(([, phrase, word]) => (phrase ?? word ?? "").trim())
    .filter((term) => /[\p{L}\p{N}]/u.test(term));
}

/** The FTS5 query: all terms, with the last one as a prefix. `null` when there are no terms. */
export function ftsQuery(query: string): string | null {
  const terms = termsOf(query);
  if (terms.length === 0) return null;
  const quoted = terms.map((term) => `"${term.replaceAll('"', " ")}"`);
  const isPhrase = query.trimEnd().endsWith('"');
  return isPhrase ? quoted.join(" ") : `${quoted.join(" ")}*`;
}

/** A match loses half of its score in half a year, because people mostly look for something recent. */
const HALF_LIFE_MS = 182 * 24 * 60 * 60_000;

export function recency(atMs: number | null, nowMs: number): number {
  return atMs === null ? 0 : 2 ** (-Math.max(0, nowMs - atMs) / HALF_LIFE_MS);
}

/** Score for containing the query as a phrase. It equals the score of a match of today, and that of full density. */
const PHRASE_WORTH = 1;
const DENSITY_WORTH = 1;

/** Share of the text that the terms must make up for the full density score. */
const FULL_DENSITY = 0.1;

/** How well a text matches a query, from 0 to 2. */
export function quality(text: string, terms: readonly string[]): number {
  const lower = text.toLowerCase();
  if (lower.length === 0) return 0;
  const hits = terms.reduce((sum, term) => sum + (lower.split(term).length - 1) * term.length, 0);
  const density = Math.min(1, hits / lower.length / FULL_DENSITY);
  const hasPhrase = terms.length > 1 && lower.includes(terms.join(" "));
  return density * DENSITY_WORTH + (hasPhrase ? PHRASE_WORTH : 0);
}

/** Characters before and after the match. */
const SNIPPET_BEFORE = 80;
const SNIPPET_CHARS = 240;

/** The text around the first match of any term, or the start of the text if no term occurs literally. */
export function snippet(text: string, terms: readonly string[]): string {
  const lower = text.toLowerCase();
  const places = terms.map((term) => lower.indexOf(term)).filter((at) => at !== -1);
  const first = places.reduce((least, at) => Math.min(least, at), lower.length);
  const from = places.length === 0 ? 0 : Math.max(0, first - SNIPPET_BEFORE);
  const cut = text
    .slice(from, from + SNIPPET_CHARS)
    .replaceAll(/\s+/g, " ")
    .trim();
  return `${from > 0 ? "…" : ""}${cut}${from + SNIPPET_CHARS < text.length ? "…" : ""}`;
}
