import { open } from "node:fs/promises";
import { readLines } from "../history/line-reader.ts";
import { readLineAt } from "../history/transcript-page.ts";
import { readLine } from "../history/transcript-line.ts";
import { wordsOf } from "./ingest.ts";
import { recency, snippet, termsOf } from "./match.ts";
import type { Found, Store } from "./store.ts";

/** Sessions in an answer, and matches shown of each. */
const MAX_SESSIONS = 20;
const MAX_MATCHES_EACH = 3;

/** Matches that are looked at to make an answer of. */
const MAX_FOUND = 400;

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

/** Sessions in which all terms of the query are said in one message, best first. */
export async function search(store: Store, query: string, nowMs: number): Promise<SearchAnswer> {
  const terms = termsOf(query);
  const indexed = store.search(query, MAX_FOUND, nowMs);
  const { found, filesLeft } = indexed === null ? await scan(store, terms, nowMs) : { found: indexed, filesLeft: 0 };
  const bySession = new Map<string, Found[]>();
  for (const match of found) bySession.set(match.session, [...(bySession.get(match.session) ?? []), match]);
  const best = [...bySession.values()].slice(0, MAX_SESSIONS);
  return { sessions: await Promise.all(best.map((matches) => tell(store, matches, terms))), filesLeft };
}

async function tell(store: Store, found: readonly Found[], terms: readonly string[]): Promise<SessionMatches> {
  const [first] = found;
  const session = first?.session ?? "";
  const facts = store.facts(session);
  const matches = await Promise.all(
    found.slice(0, MAX_MATCHES_EACH).map(async ({ path, offset, atMs, role }) => {
      // The file may have been deleted since it was indexed; the match still tells where something was.
      const line = await readLineAt(path, offset).catch(() => null);
      const content = line === null ? null : (readLine(line)?.content ?? null);
      const text = content?.kind === "message" ? content.message.parts.map(wordsOf).join("\n") : "";
      return { atMs, role, snippet: snippet(text, terms), handle: `${offset}.0` };
    }),
  );
  return { session, slug: first?.slug ?? "", title: facts?.title ?? null, lastAtMs: facts?.lastAtMs ?? null, matches };
}

async function scan(store: Store, terms: readonly string[], nowMs: number) {
  const giveUpAtMs = Date.now() + SCAN_LIMIT_MS;
  const files = store.files().sort((a, b) => b.mtimeMs - a.mtimeMs);
  const found: Found[] = [];
  let filesLeft = terms.length === 0 ? 0 : files.length;
  for (const { path, session, slug } of filesLeft === 0 ? [] : files) {
    if (Date.now() > giveUpAtMs || found.length >= MAX_FOUND) break;
    filesLeft -= 1;
    for (const { offset, atMs, role } of await scanFile(path, terms)) {
      found.push({ path, session, slug, offset, atMs, role, score: recency(atMs, nowMs) });
    }
  }
  return { found: found.sort((a, b) => b.score - a.score), filesLeft };
}

async function scanFile(path: string, terms: readonly string[]) {
  const found: { offset: number; atMs: number | null; role: string }[] = [];
  // A file that can't be read any more has nothing to be found in.
  const file = await open(path, "r").catch(() => null);
  if (file === null) return found;
  try {
    for await (const { lines } of readLines(file, 0)) {
      for (const { text, offset } of lines) {
        if (text === null || !hasAll(text, terms)) continue;
        const content = readLine(text)?.content;
        if (content?.kind !== "message") continue;
        const { atMs, role, parts } = content.message;
        if (hasAll(parts.map(wordsOf).join("\n"), terms)) found.push({ offset, atMs, role });
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
