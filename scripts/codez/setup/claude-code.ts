import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** `claude --version` takes about a second on a slow computer. */
const TIMEOUT_MS = 15_000;

const run = promisify(execFile);

/** The version of the Claude Code on the PATH; `null` when there is none. */
export async function claudeVersion(): Promise<string | null> {
  try {
    const { stdout } = await run("claude", ["--version"], { timeout: TIMEOUT_MS });
    return /\d+\.\d+\.\d+\S*/.exec(stdout)?.[0] ?? null;
  } catch {
    return null; // it is not installed, or does not start, which `codez up` reports in detail when it runs
  }
}
