import type { Tokens } from "../history/transcript-line.ts";

/** What is known of one file of history, from all of its lines up to `offset`. */
export interface FileFacts {
  readonly path: string;
  readonly session: string;
  readonly slug: string;
  /** A subagent's own file counts for usage and search, not as a session. */
  readonly isMain: boolean;
  readonly offset: number;
  readonly mtimeMs: number;
  readonly lines: number;
  readonly unreadableLines: number;
  readonly title: string | null;
  readonly titleRank: number;
  readonly firstAtMs: number | null;
  readonly lastAtMs: number | null;
  readonly cwd: string | null;
  readonly branch: string | null;
  readonly model: string | null;
  readonly prompts: number;
  readonly answers: number;
  /** As Claude Code recorded it; `null` when it did not. */
  readonly costUsd: number | null;
}

export interface UsageRow {
  readonly id: string;
  readonly session: string;
  readonly slug: string;
  readonly model: string;
  /** `2026-11-21`, in UTC. */
  readonly day: string;
  readonly tokens: Tokens;
}

/** Something said, to be found again: its words, and where its line begins. */
export interface Passage {
  readonly offset: number;
  readonly atMs: number | null;
  /** `user`, `assistant`, or `tool` for what a tool answered. */
  readonly role: string;
  readonly text: string;
}

/** What a model cost per weighted token, learnt from what Claude Code recorded. */
export interface ModelPrice {
  readonly model: string;
  readonly usdPerToken: number;
}

/** What one read of a file brought. */
export interface Batch {
  readonly facts: FileFacts;
  readonly passages: readonly Passage[];
  readonly usage: readonly UsageRow[];
  readonly prices: readonly ModelPrice[];
}

export interface Found {
  readonly path: string;
  readonly session: string;
  readonly slug: string;
  readonly offset: number;
  readonly atMs: number | null;
  readonly role: string;
}

export interface UsageSum {
  readonly day: string;
  readonly slug: string;
  readonly model: string;
  readonly tokens: Tokens;
}

export interface SessionTokens {
  readonly session: string;
  readonly model: string;
  readonly tokens: Tokens;
}

/** Where the index is kept. All of it can be made again from the history, and is, when it is lost or of another version. */
export interface Store {
  readonly kind: "sqlite" | "memory";
  files(): FileFacts[];
  facts(session: string): FileFacts | null;
  sessionsOf(slug: string): FileFacts[];
  write(batch: Batch): void;
  /** A file that is gone, or was written anew from its start. */
  forget(path: string): void;
  /**
   * The newest passages that have all words of the query; `null` when this kind of store has no index of words and the
   * files have to be read instead.
   */
  search(query: string, limit: number): Found[] | null;
  usage(): UsageSum[];
  /** Of one session, or of all of a project. */
  tokensOf(of: { session: string } | { slug: string }): SessionTokens[];
  prices(): ModelPrice[];
  close(): void;
}
