import { join } from "node:path";
import { codezHome } from "../system/home.ts";
import { findRunning } from "./running-file.ts";

/** How often to check that serve still runs. Until then another program that has taken its port could receive the token. */
const RECHECK_MS = 1_000;

/** How often to look for serve while it does not run. Calls are refused until it is found. */
const LOOK_AGAIN_MS = 100;

/** Where serve listens. `localhost` may resolve to `[::1]`, where another user's program may listen on the same port. */
const SERVE_HOST = "127.0.0.1";

/**
 * The `Authorization` header for an MCP server on this computer if that server is the user's own running `codez serve`; `null` for
 * every other server, for example the public CodeZ on the same port. The token is sent only while the process that wrote it is
 * alive, because another program could listen on the port afterwards.
 *
 * The header is looked up per call, because serve may be started or restarted after the connector.
 */
export function ownAuthorization(url: URL, home: string = codezHome()): () => string | null {
  if (url.protocol !== "http:" || url.hostname !== SERVE_HOST) return () => null;
  const path = join(home, "serve", "running.json");
  const port = Number(url.port || "80");
  let known: string | null = null;
  let checkedAtMs = -Infinity;
  return () => {
    const nowMs = performance.now();
    if (nowMs - checkedAtMs < (known === null ? LOOK_AGAIN_MS : RECHECK_MS)) return known;
    checkedAtMs = nowMs;
    const running = findRunning(path);
    known = running !== null && running.port === port ? `Bearer ${running.mcpToken}` : null;
    return known;
  };
}
