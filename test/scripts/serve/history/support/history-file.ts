import { appendFileSync, mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** A folder of history as Claude Code keeps it, written by hand. */
export class TestHistory implements Disposable {
  readonly folder = realpathSync(mkdtempSync(join(tmpdir(), "codez-history-")));

  path(slug: string, session: string): string {
    mkdirSync(join(this.folder, slug), { recursive: true });
    return join(this.folder, slug, `${session}.jsonl`);
  }

  write(slug: string, session: string, lines: readonly (object | string)[]): string {
    const path = this.path(slug, session);
    writeFileSync(path, lines.map(line).join(""));
    return path;
  }

  append(slug: string, session: string, lines: readonly (object | string)[]): void {
    appendFileSync(this.path(slug, session), lines.map(line).join(""));
  }

  [Symbol.dispose](): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function line(content: object | string): string {
  return typeof content === "string" ? content : `${JSON.stringify(content)}\n`;
}

export function sessionId(number: number): string {
  return `00000000-0000-4000-8000-${String(number).padStart(12, "0")}`;
}

interface About {
  readonly at?: string;
  readonly cwd?: string;
  readonly id?: string;
}

export function said(
  text: string,
  { at = "2026-11-01T10:00:00.000Z", cwd = "/src/api", id = text }: About = {},
): object {
  return {
    type: "user",
    uuid: `u-${id}`,
    timestamp: at,
    cwd,
    gitBranch: "main",
    message: { role: "user", content: text },
  };
}

export function answered(
  text: string,
  { at = "2026-11-01T10:00:05.000Z", cwd = "/src/api", id = text }: About = {},
): object {
  const usage = {
    input_tokens: 100,
    output_tokens: 10,
    cache_read_input_tokens: 1_000,
    cache_creation_input_tokens: 0,
  };
  const message = {
    id: `msg-${id}`,
    role: "assistant",
    model: "claude-opus-5-5",
    content: [{ type: "text", text }],
    usage,
  };
  return { type: "assistant", uuid: `a-${id}`, requestId: `req-${id}`, timestamp: at, cwd, message };
}

export function toolResult(text: string, id = "tool-1"): object {
  const content = [{ type: "tool_result", tool_use_id: id, content: text }];
  return { type: "user", uuid: `r-${id}`, timestamp: "2026-11-01T10:00:07.000Z", message: { role: "user", content } };
}

export function cost(usd: number): object {
  const tokens = { inputTokens: 100, outputTokens: 10, cacheReadInputTokens: 1_000, cacheCreationInputTokens: 0 };
  return { type: "cost-state", totalCostUSD: usd, modelUsage: { "claude-opus-5-5": { ...tokens, costUSD: usd } } };
}
