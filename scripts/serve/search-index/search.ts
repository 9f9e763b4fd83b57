import { openRegularFile } from "../../system/regular-file.ts";
import { readLines } from "../history/line-reader.ts";
import { readLineAt } from "../history/transcript-page.ts";
import { readLine } from "../history/transcript-line.ts";
import { speakerOf, wordsOf } from "./ingest.ts";
import { quality, recency, snippet, termsOf } from "./match.ts";
import type { Found, Store } from "./store.ts";

/** Sessions in an answer, and matches that are shown of each. */
const MAX_SESSIONS = 20;
const MAX_MATCHES_EACH = 3;

/** Matches that are examined, newest first. A word with more matches than this says little. */
const MAX_FOUND = 2_000;

/** Sessions whose matches are read in order to rank them. Reading a line takes a tenth of a millisecond. */
const MAX_READ_SESSIONS = 60;

/** Weight of a match in a tool's output, which people rarely search for. */
const TOOL_WORTH = 0.5;

/** Without a full-text index the files are read, newest first, for at most this long. */
const SCAN_LIMIT_MS = 10_000;

interface SessionMatches {
  readonly session: string;
  readonly slug: string;
  readonly title: string | null;
  readonly lastAtMs: number | null;
  readonly matches: readonly { atMs: number | null; role: string; snippet: string; handle: string }[];
}

export interface SearchAnswer {
  readonly sessions: readonly SessionMatches[];
  /** Number of files for which there was no time. */
  readonly filesLeft: number;
}

/**
 * Sessions with a message that contains all terms of the query, best first. A match ranks higher the more recent and the more
 * frequent it is, if a person or the model said it rather than a tool, if it is the exact phrase, and if the message is short.
 */
export async function search(store: Store, query: string, nowMs: number): Promise<SearchAnswer> {
  const terms = termsOf(query);
  const indexed = store.search(query, MAX_FOUND);
  const { found, filesLeft } = indexed === null ? await scan(store, terms) : { found: indexed, filesLeft: 0 };
  const bySession = new Map<string, Found[]>();
  for (const match of found) {
    const known = bySession.get(match.session);
    if (known === undefined) bySession.set(match.session, [match]);
    else known.push(match);
  }
  const likely = [...bySession.values()]
    .map((matches) => ({ matches: byWorth(matches, nowMs), worth: worthOf(matches, nowMs) }))
    .sort((a, b) => b.worth - a.worth)
    .slice(0, MAX_READ_SESSIONS);
  const read = await Promise.all(
    likely.map(async ({ matches, worth }) => {
      const texts = await Promise.all(matches.slice(0, MAX_MATCHES_EACH).map(readText));
      return { matches, texts, worth: worth + Math.max(...texts.map((text) => quality(text, terms))) };
    }),
  );
  const best = read.sort((a, b) => b.worth - a.worth).slice(0, MAX_SESSIONS);
  return { sessions: best.map(({ matches, texts }) => tell(store, matches, texts, terms)), filesLeft };
}

function byWorth(matches: readonly Found[], nowMs: number): Found[] {
  return [...matches].sort((a, b) => worthOf([b], nowMs) - worthOf([a], nowMs));
}

/** A session's score: that of its best match, plus a little for each doubling of the number of matches. */
function worthOf(matches: readonly Found[], nowMs: number): number {
  const best = matches.reduce(
    (most, { atMs, role }) => Math.max(most, (1 + recency(atMs, nowMs)) * (role === "tool" ? TOOL_WORTH : 1)),
    0,
  );
  return best + Math.log2(matches.length) / 10;
}

async function readText({ path, offset }: Found): Promise<string> {
  // The file may have been deleted since it was indexed. The match still says where the text was.
  const line = await readLineAt(path, offset).catch(() => null);
  const content = line === null ? null : (readLine(line)?.content ?? null);
  return content?.kind === "message" ? content.message.parts.map(wordsOf).join("\n") : "";
}

function tell(
  store: Store,
  found: readonly Found[],
  texts: readonly string[],
  terms: readonly string[],
): SessionMatches {
  const [first] = found;
  const session = first?.session ?? "";
  const facts = store.facts(session);
  const matches = texts.flatMap((text, index) => {
    const match = found[index];
    if (match === undefined) return [];
    return [{ atMs: match.atMs, role: match.role, snippet: snippet(text, terms), handle: `${match.offset}.0` }];
  });
  return { session, slug: first?.slug ?? "", title: facts?.title ?? null, lastAtMs: facts?.lastAtMs ?? null, matches };
}

async function scan(store: Store, terms: readonly string[]): Promise<{ found: Found[]; filesLeft: number }> {
  const giveUpAtMs = Date.now() + SCAN_LIMIT_MS;
  const files = terms.length === 0 ? [] : store.files().sort((a, b) => b.mtimeMs - a.mtimeMs);
  const found: Found[] = [];
  let filesLeft = files.length;
  for (const { path, session, slug } of files) {
    if (Date.now() > giveUpAtMs || found.length >= MAX_FOUND) break;
    filesLeft -= 1;
    for (const match of await scanFile(path, terms)) found.push({ path, session, slug, ...match });
  }
  return { found, filesLeft };
}

async function scanFile(path: string, terms: readonly string[]) {
  const found: { offset: number; atMs: number | null; role: string }[] = [];
  // The file cannot be read any more, so nothing can be found in it.
  const file = await openRegularFile(path).catch(() => null);
  if (file === null) return found;
  try {
    for await (const { lines } of readLines(file, 0)) {
      for (const { text, offset } of lines) {
        if (text === null || !hasAll(text, terms)) continue;
        const content = readLine(text)?.content;
        if (content?.kind !== "message") continue;
        const { message } = content;
        if (!hasAll(message.parts.map(wordsOf).join("\n"), terms)) continue;
        found.push({ offset, atMs: message.atMs, role: speakerOf(message) });
      }
    }
  } finally {
    await file.close();
  }
  return found;
}

function hasAll(text: string, terms: readonly string[]): boolean {
  const lower = text.toLowerCase();
  return terms.every((term) => lower.includes(term));
}
