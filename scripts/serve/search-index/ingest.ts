import type { FileHandle } from "node:fs/promises";
import type { Part } from "../agent/agent.ts";
import { readLines, type RawLine } from "../history/line-reader.ts";
import { promptText, readLine, type TranscriptLine, type TranscriptMessage } from "../history/transcript-line.ts";
import { learnPrice } from "./price.ts";
import type { Batch, FileFacts, ModelPrice, Passage, UsageRow } from "./store.ts";

/** Length of a title that is made of the first prompt: one line in a list. */
const MAX_TITLE_CHARS = 120;

/** Messages of a person or the model are indexed completely, up to this length. */
const MAX_SAID_CHARS = 65_536;

/**
 * Only the beginning of a tool's input and result is indexed. Names and error messages are there; the rest would make up most
 * of the index.
 */
const MAX_TOOL_CHARS = 2_048;

/** How deep a tool's input is looked into. No tool nests so deep; one that a model nests ten thousand deep would end the reading of its file. */
const MAX_DEPTH = 32;

/** A message that was added to a file. */
export interface Added {
  readonly offset: number;
  readonly message: TranscriptMessage;
}

export interface FileId {
  readonly path: string;
  readonly session: string;
  readonly slug: string;
  readonly isMain: boolean;
}

export function emptyFacts(file: FileId): FileFacts {
  return {
    ...file,
    offset: 0,
    mtimeMs: 0,
    lines: 0,
    unreadableLines: 0,
    title: null,
    titleRank: -1,
    firstAtMs: null,
    lastAtMs: null,
    cwd: null,
    branch: null,
    model: null,
    prompts: 0,
    answers: 0,
    costUsd: null,
  };
}

/** Continues reading a file where `facts` end, and yields what each part of the file adds. */
export async function* ingest(
  file: FileHandle,
  known: FileFacts,
  mtimeMs: number,
): AsyncGenerator<{ batch: Batch; added: Added[] }, void> {
  let facts = known;
  for await (const { lines, end } of readLines(file, known.offset)) {
    const collector = new Collector(facts);
    for (const line of lines) collector.add(line);
    facts = { ...collector.facts, offset: end, mtimeMs };
    yield { batch: { ...collector, facts }, added: collector.added };
  }
}

class Collector {
  facts: FileFacts;
  readonly passages: Passage[] = [];
  readonly usage: UsageRow[] = [];
  readonly prices: ModelPrice[] = [];
  readonly added: Added[] = [];

  constructor(facts: FileFacts) {
    this.facts = facts;
  }

  add(raw: RawLine): void {
    const line = raw.text === null ? null : readLine(raw.text);
    const { lines, unreadableLines } = this.facts;
    if (line === null) {
      this.facts = { ...this.facts, lines: lines + 1, unreadableLines: unreadableLines + 1 };
      return;
    }
    this.facts = { ...this.facts, lines: lines + 1, ...this.#placed(line) };
    const { content } = line;
    switch (content.kind) {
      case "message":
        return this.#addMessage(raw.offset, content.message);
      case "title":
        return this.#entitle(content.title, content.rank);
      case "cost":
        this.facts = { ...this.facts, costUsd: content.totalUsd };
        for (const { model, tokens, usd } of content.models) {
          const price = learnPrice(model, tokens, usd);
          if (price !== null) this.prices.push(price);
        }
        return;
      case "other":
        return;
    }
  }

  #placed({ cwd, branch, atMs }: TranscriptLine): Partial<FileFacts> {
    const { facts } = this;
    return {
      cwd: facts.cwd ?? cwd,
      branch: branch ?? facts.branch,
      firstAtMs: facts.firstAtMs ?? atMs,
      lastAtMs: Math.max(facts.lastAtMs ?? 0, atMs ?? 0) || null,
    };
  }

  #addMessage(offset: number, message: TranscriptMessage): void {
    const { facts } = this;
    this.added.push({ offset, message });
    const said = message.role === "user" && !message.isAside ? promptText(message.parts) : null;
    if (said !== null) {
      this.facts = { ...facts, prompts: facts.prompts + 1 };
      this.#entitle(said, 0);
    }
    if (message.role === "assistant" && message.model !== null && !message.model.startsWith("<")) {
      this.facts = { ...this.facts, answers: facts.answers + 1, model: message.model };
      this.#count(message, message.model);
    }
    const text = message.parts.map(wordsOf).join("\n").trim();
    if (text !== "") this.passages.push({ offset, atMs: message.atMs, role: speakerOf(message), text });
  }

  #count({ usage, atMs }: TranscriptMessage, model: string): void {
    if (usage === null) return;
    const day = new Date(atMs ?? this.facts.lastAtMs ?? 0).toISOString().slice(0, 10);
    const { session, slug } = this.facts;
    this.usage.push({ id: usage.id, session, slug, model, day, tokens: usage.tokens });
  }

  /** Sets the title. Of two titles with the same rank the later one is kept, except for prompts, where it is the first. */
  #entitle(text: string, rank: number): void {
    if (rank < this.facts.titleRank || (rank === 0 && this.facts.titleRank === 0)) return;
    const line = text.replaceAll(/\s+/g, " ").trim();
    const title = line.length > MAX_TITLE_CHARS ? `${line.slice(0, MAX_TITLE_CHARS - 1)}…` : line;
    this.facts = { ...this.facts, title, titleRank: rank };
  }
}

/** Who said a message. Tool results are in messages with the role `user`, although no user wrote them. */
export function speakerOf({ role, parts }: TranscriptMessage): string {
  return parts.some((part) => part.type === "tool_result") ? "tool" : role;
}

/** The searchable text of a part. */
export function wordsOf(part: Part): string {
  switch (part.type) {
    case "text":
      return part.text.slice(0, MAX_SAID_CHARS);
    case "tool_use":
      return `${part.tool} ${stringsOf(part.input)}`.slice(0, MAX_TOOL_CHARS);
    case "tool_result":
      return part.text.slice(0, MAX_TOOL_CHARS);
    case "thinking":
    case "image":
      return "";
  }
}

function stringsOf(value: unknown, depth = MAX_DEPTH): string {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || depth === 0) return "";
  return Object.values(value)
    .map((part) => stringsOf(part, depth - 1))
    .join(" ");
}
