import { once } from "node:events";
import { WebSocket } from "ws";
import type { Finding } from "./finding.ts";

const TIMEOUT_MS = 10_000;

/** What Operator says there (control-api, `http/greeting.ts`). */
const GREETING = "operator";

/** As connectors call themselves. Cloudflare's Browser Integrity Check challenges clients that name no agent. */
const AGENT = "codez";

/** Checks, from this computer, whether WebSockets come through to Operator. Machines connect with one. */
export async function lookAtWebSocket(url: string): Promise<Finding> {
  const address = new URL("/api/health", url);
  address.protocol = address.protocol.replace("http", "ws");
  const socket = new WebSocket(address, { headers: { "user-agent": AGENT }, handshakeTimeout: TIMEOUT_MS });
  try {
    const [data] = await once(socket, "message", { signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (String(data) === GREETING) return { level: "ok", says: `WebSockets come through to ${url}` };
    return problem(url, "something else answers there");
  } catch (reason) {
    return problem(url, reason instanceof Error ? reason.message : String(reason));
  } finally {
    socket.terminate();
  }
}

function problem(url: string, why: string): Finding {
  return {
    level: "problem",
    says: `WebSockets do not come through to ${url} (${why}), so no machine can connect`,
    fix: "A proxy must pass on the headers Upgrade and Connection; on Cloudflare the zone's Network settings must allow WebSockets.",
  };
}
