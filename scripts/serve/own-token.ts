import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseJson } from "#protocol/json.ts";
import { codezHome } from "../system/home.ts";
import { isRunning, Running } from "./running-file.ts";

/** How long it may go unnoticed that serve has ended and another program has taken its port. */
const RECHECK_MS = 1_000;

/** And that serve has been started: its first call is refused until it is noticed. */
const LOOK_AGAIN_MS = 100;

const LOOPBACK_HOSTS = new Set(["127.0.0.1", "localhost", "[::1]"]);

/**
 * The `Authorization` header for an MCP server on this computer, when that server is this person's own running
 * `codez serve`; `null` for every other server, the public CodeZ on the same port among them. The token is shown only
 * while the process that wrote it is alive, since another program could listen on its port afterwards.
 *
 * Looked up as calls come, because serve may be started, or started again, after the connector.
 */
export function ownAuthorization(url: URL, home: string = codezHome()): () => string | null {
  if (url.protocol !== "http:" || !LOOPBACK_HOSTS.has(url.hostname)) return () => null;
  const path = join(home, "serve", "running.json");
  const port = Number(url.port || "80");
  let known: string | null = null;
  let checkedAtMs = -Infinity;
  return () => {
    const nowMs = performance.now();
    if (nowMs - checkedAtMs < (known === null ? LOOK_AGAIN_MS : RECHECK_MS)) return known;
    checkedAtMs = nowMs;
    const running = readRunning(path);
    known = running !== null && running.port === port ? `Bearer ${running.mcpToken}` : null;
    return known;
  };
}

function readRunning(path: string): Running | null {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch {
    return null; // serve has never run here, or ended in order
  }
  const parsed = Running.safeParse(parseJson(text));
  return parsed.success && isRunning(parsed.data) ? parsed.data : null;
}
