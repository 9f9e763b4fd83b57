import { join } from "node:path";
import { codezHome } from "../system/home.ts";
import { listenersAt } from "../system/port-owner.ts";
import { isOfOthers } from "../system/trusted-file.ts";
import { findRunning, type Running } from "./running-file.ts";

/** How often to check that serve still runs. A new connection is checked by itself. */
const RECHECK_MS = 1_000;

/** How often to look for serve while it does not run. Calls are refused until it is found. */
const LOOK_AGAIN_MS = 100;

/** Where serve listens. `localhost` may resolve to `[::1]`, where another user's program may listen on the same port. */
const SERVE_HOST = "127.0.0.1";

/**
 * What is known of the user's own `codez serve`, if it can be at this address: with the token for MCP while it runs there, and without one for another server on
 * the same port, for example the public CodeZ. The token is for the process that wrote it, as long as that runs: another program may listen on
 * the port afterwards, and before. What each of the three functions answers, their user says (connector/http-target.ts, `KnownServer`).
 *
 * The header is looked up per call, because serve may be started or restarted after the connector.
 *
 * @param isOwnOnly whether the address stands for serve, so that no program of another user may take its place
 */
export function ownServe(url: URL, isOwnOnly: boolean, home: string = codezHome()) {
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
    // serve listens before it writes the file, and removes the file before it stops listening. So whoever was in the file before the
    // connection was made, and still is, has accepted it.
    whyNotIts: () => {
      const now = find();
      if (known !== null && now?.pid === known.pid && now.started === known.started) return null;
      known = null;
      return "codez serve has just ended";
    },
    whyNotAny: () => {
      const users = isOwnOnly ? listenersAt(port) : null;
      // Whoever has stopped listening since must have had something to hide.
      if (users === null || (users.length > 0 && !users.some((uid) => isOfOthers(uid)))) return null;
      return "another user's program has the port of codez serve";
    },
  };
}
