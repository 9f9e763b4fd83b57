import { setTimeout as sleep } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { Follower, type Growth, type Progress } from "./follower.ts";
import { MemoryStore } from "./memory-store.ts";
import { search, type SearchAnswer } from "./search.ts";
import { SqliteStore } from "./sqlite-store.ts";
import type { Tokens } from "../history/transcript-line.ts";
import { estimate } from "./price.ts";
import type { FileFacts, ModelPrice, SessionTokens, Store, UsageSum } from "./store.ts";

/** How often active files are checked: the delay with which messages of a terminal's session are seen. */
const GLANCE_MS = 1_000;

/** How often all files are checked, to find new sessions and new messages in old ones. */
const SWEEP_MS = 15_000;

/** The questions that the worker answers, by name, with their parameters and answers. */
export interface IndexQuestions {
  status: { ask: null; answer: IndexStatus };
  sessions: { ask: { slug: string }; answer: SessionFacts[] };
  facts: { ask: { session: string }; answer: SessionFacts | null };
  search: { ask: { query: string }; answer: SearchAnswer };
  usage: { ask: null; answer: { sums: UsageSum[]; prices: ModelPrice[] } };
  /** Indexes everything that is new, then answers. */
  refresh: { ask: null; answer: null };
}

interface IndexStatus extends Progress {
  readonly store: Store["kind"];
  /** Why there is no full-text index; `null` when there is one. */
  readonly storeProblem: string | null;
}

export interface SessionFacts {
  readonly file: FileFacts;
  readonly tokens: Tokens;
  /** An estimate from the costs that Claude Code recorded for the same models; `null` if it recorded none. */
  readonly estimateUsd: number | null;
}

export interface IndexData {
  readonly folder: string;
  readonly database: string;
}

export type FromWorker =
  | { type: "answer"; id: number; answer: unknown }
  | { type: "failure"; id: number; reason: string }
  | { type: "growth"; growth: Growth };

export interface ToWorker {
  readonly id: number;
  readonly question: keyof IndexQuestions;
  readonly ask: unknown;
}

/** Runs the index thread: follows the files, and answers questions between two reads. */
export async function runIndexWorker(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error("the index runs in a worker thread of codez serve");
  // Sent by HistoryIndex, which is part of this program.
  const { folder, database } = workerData as IndexData;
  const { store, storeProblem } = await openStore(database);
  const post = (message: FromWorker) => port.postMessage(message);
  const follower = new Follower(folder, store, (growth) => post({ type: "growth", growth }));
  port.on("message", (message: ToWorker) => {
    answer(message, store, storeProblem, follower).then(
      (result) => post({ type: "answer", id: message.id, answer: result }),
      (error: unknown) => post({ type: "failure", id: message.id, reason: String(error) }),
    );
  });
  for (;;) {
    await follower.sweep();
    for (let waitedMs = 0; waitedMs < SWEEP_MS; waitedMs += GLANCE_MS) {
      await sleep(GLANCE_MS);
      await follower.glance();
    }
  }
}

async function openStore(database: string): Promise<{ store: Store; storeProblem: string | null }> {
  try {
    const store = await SqliteStore.open(database);
    if (store !== null) return { store, storeProblem: null };
    const storeProblem = `Node ${process.version} has no SQLite with full-text search; Node 24 has`;
    return { store: new MemoryStore(), storeProblem };
  } catch (error) {
    return { store: new MemoryStore(), storeProblem: `${database} can't be written: ${String(error)}` };
  }
}

async function answer(
  { question, ask }: ToWorker,
  store: Store,
  storeProblem: string | null,
  follower: Follower,
): Promise<unknown> {
  switch (question) {
    case "status":
      return { ...follower.progress(), store: store.kind, storeProblem } satisfies IndexStatus;
    case "sessions":
      return sessionsOf(store, (ask as IndexQuestions["sessions"]["ask"]).slug);
    case "facts": {
      const { session } = ask as IndexQuestions["facts"]["ask"];
      const file = store.facts(session);
      return file === null ? null : withUsage(file, store.tokensOf({ session }), pricesOf(store));
    }
    case "search":
      return search(store, (ask as IndexQuestions["search"]["ask"]).query, Date.now());
    case "usage":
      return { sums: store.usage(), prices: store.prices() };
    case "refresh":
      await follower.sweep();
      return null;
  }
}

function sessionsOf(store: Store, slug: string): SessionFacts[] {
  const prices = pricesOf(store);
  const bySession = new Map<string, SessionTokens[]>();
  for (const row of store.tokensOf({ slug })) {
    const known = bySession.get(row.session);
    if (known === undefined) bySession.set(row.session, [row]);
    else known.push(row);
  }
  return store.sessionsOf(slug).map((file) => withUsage(file, bySession.get(file.session) ?? [], prices));
}

function withUsage(file: FileFacts, rows: readonly SessionTokens[], prices: ReadonlyMap<string, number>): SessionFacts {
  let tokens: Tokens = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0 };
  let estimateUsd: number | null = rows.length === 0 ? null : 0;
  for (const row of rows) {
    tokens = {
      input: tokens.input + row.tokens.input,
      output: tokens.output + row.tokens.output,
      cacheRead: tokens.cacheRead + row.tokens.cacheRead,
      cacheWrite: tokens.cacheWrite + row.tokens.cacheWrite,
    };
    const usd = estimate(row, prices);
    estimateUsd = usd === null || estimateUsd === null ? null : estimateUsd + usd;
  }
  return { file, tokens, estimateUsd };
}

function pricesOf(store: Store): Map<string, number> {
  return new Map(store.prices().map(({ model, usdPerToken }) => [model, usdPerToken]));
}
