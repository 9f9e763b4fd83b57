import { join } from "node:path";
import { codezHome } from "../system/home.ts";
import { findRunning, type Running } from "./running-file.ts";

/** How often to check that serve still runs. A new connection is checked by itself. */
const RECHECK_MS = 1_000;

/** How often to look for serve while it does not run. Calls are refused until it is found. */
const LOOK_AGAIN_MS = 100;

/** Where serve listens. `localhost` may resolve to `[::1]`, where another user's program may listen on the same port. */
const SERVE_HOST = "127.0.0.1";

/** What a caller of `codez serve` needs to show the token to nobody else. */
export type OwnServe = {
  /** The `Authorization` header for a request; `null` while serve does not run. */
  readonly authorization: () => string | null;
  /** Whether the serve that the last header was for has had its port since then. */
  readonly isStillThere: () => boolean;
};

/**
 * The user's own running `codez serve` at this address, with the token for MCP; `null` if it can only be another server, for example at another
 * host. The token is for the process that wrote it, as long as that runs: every other program may listen on the port afterwards, and before.
 *
 * The header is looked up per call, because serve may be started or restarted after the connector.
 */
export function ownServe(url: URL, home: string = codezHome()): OwnServe | null {
  if (url.protocol !== "http:" || url.hostname !== SERVE_HOST) return null;
  const path = join(home, "serve", "running.json");
  const port = Number(url.port || "80");
  let known: Running | null = null;
  let checkedAtMs = -Infinity;
  const find = (): Running | null => {
    const running = findRunning(path);
    return running?.port === port ? running : null;
  };
  return {
    authorization: () => {
      const nowMs = performance.now();
      if (nowMs - checkedAtMs >= (known === null ? LOOK_AGAIN_MS : RECHECK_MS)) {
        checkedAtMs = nowMs;
        known = find();
      }
      return known === null ? null : `Bearer ${known.mcpToken}`;
    },
    // serve listens before it writes the file, and removes the file before it stops listening.
    isStillThere: () => {
      const now = find();
      const isSame = known !== null && now?.pid === known.pid && now.started === known.started;
      if (!isSame) known = null;
      return isSame;
    },
  };
}
