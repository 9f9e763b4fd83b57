import { setTimeout as sleep } from "node:timers/promises";
import type { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { mcpClient } from "../system/mcp-client.ts";
import { mcpFailure } from "../mcp-failure.ts";
import type { Target } from "./target.ts";
import { targetFetch } from "./target-fetch.ts";

/** Long enough for a program that starts slowly, short enough for a person who waits. `npx` may need more the first time. */
const CHECK_TIMEOUT_MS = 15_000;

/** How long ending the session may take. */
const END_TIMEOUT_MS = 1_000;

/** The client's transport needs an address, but all requests go to the target. */
const ADDRESS = new URL("http://target/mcp");

/** Whether a machine's MCP server answers: with its name and version, or why it does not. */
export type TargetCheck =
  | { readonly state: "up"; readonly detail: string }
  | { readonly state: "down"; readonly detail: string };

/** Opens one MCP session at the target and ends it. Never throws; a target that stays silent is down after `timeoutMs`. */
export async function checkTarget(target: Target, version: string, timeoutMs = CHECK_TIMEOUT_MS): Promise<TargetCheck> {
  const { Client, StreamableHTTPClientTransport } = await mcpClient();
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
  const late = new Promise<never>((_resolve, reject) => {
    timer.addEventListener("abort", () => reject(timer.reason as Error));
  });
  try {
    // The signal alone does not suffice: a client that negotiates waits for its first request whatever the signal says.
    await Promise.race([client.connect(transport, { signal: timer }), late]);
    const server = client.getServerVersion();
    return { state: "up", detail: server === undefined ? "an MCP server" : `${server.name} ${server.version}` };
  } catch (reason) {
    if (timer.aborted)
      return {
        state: "down",
        detail: `it has not answered within ${timeoutMs / 1000} s; what npx installs first may take longer`,
      };
    return { state: "down", detail: failure ?? mcpFailure(reason) };
  } finally {
    // A server that does not answer does not answer this either. Closing the target ends what is left.
    await Promise.race([end(client, transport), sleep(END_TIMEOUT_MS, undefined, { ref: false })]);
  }
}

async function end(client: Client, transport: StreamableHTTPClientTransport): Promise<void> {
  await transport.terminateSession().catch(() => undefined); // the session was never opened, or is lost already
  await client.close();
}
