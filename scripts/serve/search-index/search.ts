import { openRegularFile } from "../../system/regular-file.ts";
import { readLines } from "../history/line-reader.ts";
import { readLineAt } from "../history/transcript-page.ts";
import { readLine } from "../history/transcript-line.ts";
import { speakerOf, wordsOf } from "./ingest.ts";
import { quality, recency, snippet, termsOf } from "./match.ts";
import type { Found, Store } from "./store.ts";

/** Sessions in an answer, and matches shown of each. */
const MAX_SESSIONS = 20;
const MAX_MATCHES_EACH = 3;

/** Matches that are looked at. A word that is in more than this says little, and the newest of them are taken. */
const MAX_FOUND = 2_000;

/** Sessions whose matches are read to see how good they are; a read of a line takes a tenth of a millisecond. */
const MAX_READ_SESSIONS = 60;

/** What a tool answered is rarely what somebody remembers having said or read. */
const TOOL_WORTH = 0.5;

/** Without an index of words the files are read, newest first, for so long. */
const SCAN_LIMIT_MS = 10_000;

export interface SessionMatches {
  readonly session: string;
  readonly slug: string;
  readonly title: string | null;
  readonly lastAtMs: number | null;
  readonly matches: readonly { atMs: number | null; role: string; snippet: string; handle: string }[];
}

export interface SearchAnswer {
  readonly sessions: readonly SessionMatches[];
  /** Files that there was no time to look into. */
  readonly filesLeft: number;
}

/**
 * Sessions in which all terms of the query are said in one message, best first: recent, often, by a person or the
 * model rather than by a tool, as a phrase, in few other words.
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

/** Of the best match, and a little for each doubling of their number. */
function worthOf(matches: readonly Found[], nowMs: number): number {
  const best = matches.map(({ atMs, role }) => (1 + recency(atMs, nowMs)) * (role === "tool" ? TOOL_WORTH : 1));
  return Math.max(...best) + Math.log2(matches.length) / 10;
}

async function readText({ path, offset }: Found): Promise<string> {
  // The file may have been deleted since it was indexed; the match still tells where something was.
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
  // A file that can't be read any more has nothing to be found in.
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
