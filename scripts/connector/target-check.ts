import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import type { Target } from "./target.ts";
import { targetFetch } from "./target-fetch.ts";

/** Long enough for a program that starts slowly, short enough for a person who waits. `npx` may need more the first time. */
const CHECK_TIMEOUT_MS = 15_000;

/** The client's transport needs an address, but all requests go to the target. */
const ADDRESS = new URL("http://target/mcp");

/** Whether a machine's MCP server answers: with its name and version, or why it does not. */
export type TargetCheck =
  | { readonly state: "up"; readonly detail: string }
  | { readonly state: "down"; readonly detail: string };

/** Opens one MCP session at the target and ends it. Never throws; a target that stays silent is down after `timeoutMs`. */
export async function checkTarget(target: Target, version: string, timeoutMs = CHECK_TIMEOUT_MS): Promise<TargetCheck> {
  const client = new Client({ name: "codez", version }, { versionNegotiation: { mode: "auto" } });
  let failure: string | null = null;
  const fetch = targetFetch(target, {
    failed: (reason) => {
      failure = reason;
    },
    postEnded: () => undefined,
  });
  const transport = new StreamableHTTPClientTransport(ADDRESS, { fetch });
  const timer = AbortSignal.timeout(timeoutMs);
  try {
    await client.connect(transport, { signal: timer });
    const server = client.getServerVersion();
    return { state: "up", detail: server === undefined ? "an MCP server" : `${server.name} ${server.version}` };
  } catch (reason) {
    if (timer.aborted) return { state: "down", detail: `it has not answered within ${timeoutMs / 1000} s` };
    return { state: "down", detail: failure ?? (reason instanceof Error ? reason.message : String(reason)) };
  } finally {
    await transport.terminateSession().catch(() => undefined); // the session was never opened, or is lost already
    await client.close();
  }
}
