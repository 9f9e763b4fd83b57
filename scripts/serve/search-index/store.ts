import type { Tokens } from "../history/transcript-line.ts";

/** Everything known about one history file, from its lines up to `offset`. */
export interface FileFacts {
  readonly path: string;
  readonly session: string;
  readonly slug: string;
  /** `false` for a subagent's file, which counts for usage and search but is not a session. */
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
  /** The cost that Claude Code recorded; `null` if it recorded none. */
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

/** A searchable message: its words, and the offset of its line. */
export interface Passage {
  readonly offset: number;
  readonly atMs: number | null;
  /** `user`, `assistant`, or `tool` for a tool's output. */
  readonly role: string;
  readonly text: string;
}

/** A model's price per weighted token, derived from the costs that Claude Code recorded. */
export interface ModelPrice {
  readonly model: string;
  readonly usdPerToken: number;
}

/** The result of one read of a file. */
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

/** Storage of the index. It can be rebuilt from the history, which happens when it is lost or has another version. */
export interface Store {
  readonly kind: "sqlite" | "memory";
  files(): FileFacts[];
  facts(session: string): FileFacts | null;
  sessionsOf(slug: string): FileFacts[];
  write(batch: Batch): void;
  /** Removes a file that was deleted or rewritten. */
  forget(path: string): void;
  /**
   * The newest passages with all words of the query; `null` when this kind of store has no full-text index and the files have to
   * be read instead.
   */
  search(query: string, limit: number): Found[] | null;
  usage(): UsageSum[];
  /** Token counts of one session, or of all sessions of a project. */
  tokensOf(of: { session: string } | { slug: string }): SessionTokens[];
  prices(): ModelPrice[];
  close(): void;
}
