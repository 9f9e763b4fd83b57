import * as z from "zod";
import { parseJson } from "#protocol/json.ts";
import type { Part } from "../agent/agent.ts";
import { readParts } from "../agent/claude/content-part.ts";

/** A line of a session's file, as far as serve needs it. Claude Code writes many more kinds. */
const Line = z.looseObject({
  type: z.string(),
  uuid: z.string().optional(),
  timestamp: z.string().optional(),
  cwd: z.string().optional(),
  gitBranch: z.string().optional(),
  isMeta: z.boolean().optional(),
  isSidechain: z.boolean().optional(),
  requestId: z.string().optional(),
  message: z
    .looseObject({
      id: z.string().optional(),
      role: z.string().optional(),
      model: z.string().optional(),
      content: z.unknown().optional(),
      usage: z.unknown().optional(),
    })
    .optional(),
  customTitle: z.string().optional(),
  aiTitle: z.string().optional(),
  summary: z.string().optional(),
  totalCostUSD: z.number().optional(),
  modelUsage: z.record(z.string(), z.unknown()).optional(),
});

const Usage = z.object({
  input_tokens: z.number().nullish(),
  output_tokens: z.number().nullish(),
  cache_read_input_tokens: z.number().nullish(),
  cache_creation_input_tokens: z.number().nullish(),
});

const ModelCost = z.object({
  inputTokens: z.number(),
  outputTokens: z.number(),
  cacheReadInputTokens: z.number(),
  cacheCreationInputTokens: z.number(),
  costUSD: z.number(),
});

export interface Tokens {
  readonly input: number;
  readonly output: number;
  readonly cacheRead: number;
  readonly cacheWrite: number;
}

export interface TranscriptMessage {
  readonly id: string;
  readonly role: "user" | "assistant";
  readonly atMs: number | null;
  readonly model: string | null;
  /**
   * Whether the message is not part of the conversation with the person: it is to or from a subagent, or from Claude Code to
   * the model.
   */
  readonly isAside: boolean;
  readonly parts: readonly Part[];
  /** `id` is the same for all lines of one answer of the model, and for their copies in a fork. */
  readonly usage: { id: string; tokens: Tokens } | null;
}

type LineContent =
  | { kind: "message"; message: TranscriptMessage }
  | { kind: "title"; title: string; rank: number }
  | { kind: "cost"; totalUsd: number; models: { model: string; tokens: Tokens; usd: number }[] }
  | { kind: "other" };

export interface TranscriptLine {
  readonly cwd: string | null;
  readonly branch: string | null;
  readonly atMs: number | null;
  readonly content: LineContent;
}

/** A title that a person chose takes precedence over one that a model made, and both over the first prompt (rank 0). */
const TITLE_RANKS = { "custom-title": 3, "ai-title": 2, summary: 1 } as const;

/** Parses a line; `null` if it is broken, incomplete or not part of a session. Never throws. */
export function readLine(text: string): TranscriptLine | null {
  const parsed = Line.safeParse(parseJson(text));
  if (!parsed.success) return null; // counted by the caller
  const line = parsed.data;
  const atMs = line.timestamp === undefined ? NaN : Date.parse(line.timestamp);
  const branch = line.gitBranch === undefined || line.gitBranch === "HEAD" ? null : line.gitBranch;
  return { cwd: line.cwd ?? null, branch, atMs: Number.isNaN(atMs) ? null : atMs, content: contentOf(line, atMs) };
}

function contentOf(line: z.infer<typeof Line>, atMs: number): LineContent {
  switch (line.type) {
    case "user":
    case "assistant":
      return { kind: "message", message: messageOf(line, line.type, Number.isNaN(atMs) ? null : atMs) };
    case "custom-title":
    case "ai-title":
    case "summary": {
      const title = line.customTitle ?? line.aiTitle ?? line.summary ?? "";
      return title === "" ? { kind: "other" } : { kind: "title", title, rank: TITLE_RANKS[line.type] };
    }
    case "cost-state":
      return { kind: "cost", totalUsd: line.totalCostUSD ?? 0, models: costsOf(line.modelUsage ?? {}) };
    default:
      return { kind: "other" };
  }
}

function messageOf(line: z.infer<typeof Line>, role: "user" | "assistant", atMs: number | null): TranscriptMessage {
  const id = line.uuid ?? line.message?.id ?? "";
  const isAside = line.isSidechain === true || line.isMeta === true;
  const usage = Usage.safeParse(line.message?.usage);
  const usageId = line.message?.id === undefined ? id : `${line.message.id} ${line.requestId ?? ""}`;
  return {
    id,
    role,
    atMs,
    model: role === "assistant" ? (line.message?.model ?? null) : null,
    isAside,
    parts: readParts(line.message?.content),
    usage: role === "assistant" && usage.success ? { id: usageId, tokens: tokensOf(usage.data) } : null,
  };
}

function tokensOf(usage: z.infer<typeof Usage>): Tokens {
  return {
    input: usage.input_tokens ?? 0,
    output: usage.output_tokens ?? 0,
    cacheRead: usage.cache_read_input_tokens ?? 0,
    cacheWrite: usage.cache_creation_input_tokens ?? 0,
  };
}

function costsOf(models: Record<string, unknown>): { model: string; tokens: Tokens; usd: number }[] {
  return Object.entries(models).flatMap(([model, cost]) => {
    const parsed = ModelCost.safeParse(cost);
    if (!parsed.success) return [];
    const { inputTokens, outputTokens, cacheReadInputTokens, cacheCreationInputTokens, costUSD } = parsed.data;
    const tokens = {
      input: inputTokens,
      output: outputTokens,
      cacheRead: cacheReadInputTokens,
      cacheWrite: cacheCreationInputTokens,
    };
    return [{ model, tokens, usd: costUSD }];
  });
}

/**
 * Characters of a prompt in which what Claude Code adds is looked for: several times what it adds. Of a text in which nothing ends that begins, each
 * beginning is read to the end, which for a prompt of 16 MB takes hours.
 */
const MAX_LOOKED_AT = 64 * 1024;

/** What Claude Code itself adds in the person's name around commands. */
const ADDED = /<(system-reminder|local-command-\w+|command-\w+)>[\s\S]*?<\/\1>/g;

/** The text of a prompt, without what Claude Code has added. */
export function promptText(parts: readonly Part[]): string | null {
  const text = parts.flatMap((part) => (part.type === "text" ? [part.text] : [])).join("\n");
  const clean = `${text.slice(0, MAX_LOOKED_AT).replaceAll(ADDED, "")}${text.slice(MAX_LOOKED_AT)}`.trim();
  if (clean === "" || clean.startsWith("Caveat: The messages below") || clean.startsWith("[Request interrupted")) {
    return null;
  }
  return clean;
}
