import { closeSync, mkdirSync, openSync, utimesSync, writeSync } from "node:fs";
import { join } from "node:path";
import { seeded } from "../system/random.ts";

const WORDS = (
  "the a of and to in is parser latency cache socket error test flaky build deploy branch commit merge review token " +
  "stream buffer cursor session project machine client server request response header body schema index query table " +
  "column row lock thread worker process signal timeout retry backoff queue event handler router gate origin host"
).split(" ");

/** Sizes as they are found: mostly short exchanges, and tool results that make up most of the bytes. */
const TOOL_RESULT_CHARS = 6_000;

export interface Generated {
  readonly sessions: number;
  readonly projects: number;
  readonly bytes: number;
  /** Of the largest project, and of one of its sessions. */
  readonly slug: string;
  readonly session: string;
}

/** Writes a history as Claude Code keeps it, the same for the same numbers. */
export function generateHistory(folder: string, { sessions, bytes }: { sessions: number; bytes: number }): Generated {
  const random = seeded(42);
  const projects = 40;
  const each = Math.ceil(bytes / sessions);
  let written = 0;
  for (let index = 0; index < sessions; index += 1) {
    // Half of all sessions are in one project, the rest is spread.
    const slug = slugOf(index % 2 === 0 ? 0 : 1 + (index % (projects - 1)));
    mkdirSync(join(folder, slug), { recursive: true });
    const path = join(folder, slug, `${idOf(index)}.jsonl`);
    const file = openSync(path, "w");
    let size = 0;
    for (let turn = 0; size < each; turn += 1) {
      const text = turnOf(index, turn, slug, random);
      size += writeSync(file, text);
    }
    closeSync(file);
    // Not written a moment ago: that would look like two thousand people at work.
    utimesSync(path, daysAgo(1 + (index % 300)), daysAgo(1 + (index % 300)));
    written += size;
  }
  return { sessions, projects, bytes: written, slug: slugOf(0), session: idOf(0) };
}

function turnOf(index: number, turn: number, slug: string, random: () => number): string {
  const at = (seconds: number) => new Date(Date.UTC(2026, 0, 1 + (index % 300), 9, turn % 60, seconds)).toISOString();
  const id = `${index}-${turn}`;
  const common = { cwd: slug.replaceAll("-", "/"), sessionId: idOf(index), version: "2.1.329", gitBranch: "main" };
  const usage = {
    input_tokens: 900,
    output_tokens: 200,
    cache_read_input_tokens: 40_000,
    cache_creation_input_tokens: 800,
  };
  const assistant = (content: object[]) => ({
    ...common,
    type: "assistant",
    uuid: `a-${id}-${content.length}`,
    requestId: `req-${id}`,
    timestamp: at(5),
    message: { id: `msg-${id}`, role: "assistant", model: "claude-opus-5-5", content, usage },
  });
  const needle = turn === 0 && index % 500 === 7 ? " needle777" : "";
  const prompt = `${say(random, 25)}${needle}`;
  const result = { type: "tool_result", tool_use_id: `t-${id}`, content: say(random, TOOL_RESULT_CHARS / 6) };
  const lines = [
    { ...common, type: "user", uuid: `u-${id}`, timestamp: at(0), message: { role: "user", content: prompt } },
    assistant([
      { type: "text", text: say(random, 120) },
      { type: "tool_use", id: `t-${id}`, name: "Read", input: { file_path: `src/${say(random, 1)}.ts` } },
    ]),
    { ...common, type: "user", uuid: `r-${id}`, timestamp: at(10), message: { role: "user", content: [result] } },
    assistant([{ type: "text", text: say(random, 60) }]),
  ];
  const tokens = { inputTokens: 900, outputTokens: 200, cacheReadInputTokens: 40_000, cacheCreationInputTokens: 800 };
  const cost = {
    type: "cost-state",
    totalCostUSD: 0.03,
    modelUsage: { "claude-opus-5-5": { ...tokens, costUSD: 0.03 } },
  };
  return [...lines, ...(turn === 0 ? [cost] : [])].map((line) => `${JSON.stringify(line)}\n`).join("");
}

/** Words as language has them: few very often, most of them seldom. */
function say(random: () => number, count: number): string {
  const words: string[] = [];
  for (let index = 0; index < count; index += 1) {
    const common = WORDS[Math.floor(random() ** 2 * WORDS.length)] ?? "the";
    words.push(random() < 0.2 ? `${common}${Math.floor(random() * 50_000)}` : common);
  }
  return words.join(" ");
}

function daysAgo(days: number): Date {
  return new Date(Date.now() - days * 24 * 60 * 60_000);
}

function slugOf(project: number): string {
  return `-home-me-src-project${project}`;
}

function idOf(index: number): string {
  return `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`;
}

/** A small generator with a seed: the same history on every run. */
