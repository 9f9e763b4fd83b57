import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { Client as OlderClient } from "@modelcontextprotocol/sdk/client/index.js";
import { StreamableHTTPClientTransport as OlderTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js";

const SELF = { name: "end-to-end", version: "1" };

/** The 2025 SDK's client. */
export async function olderClient(
  url: URL,
  capabilities: object = {},
): Promise<OlderClient & AsyncDisposable & { http: OlderTransport }> {
  const made = new OlderClient(SELF, { capabilities });
  const transport = new OlderTransport(url);
  // The SDK's own types disagree under exactOptionalPropertyTypes (`sessionId`).
  await made.connect(transport as Parameters<OlderClient["connect"]>[0]);
  return Object.assign(made, { http: transport, [Symbol.asyncDispose]: () => made.close() });
}

/** The current SDK's client, in the era it is told. */
export async function client(
  url: URL,
  era: "2025-11-25" | "2026-07-28",
  headers: Record<string, string> = {},
): Promise<Client & AsyncDisposable> {
  const mode = era === "2026-07-28" ? { pin: era } : ("legacy" as const);
  const made = new Client(SELF, { versionNegotiation: { mode } });
  await made.connect(new StreamableHTTPClientTransport(url, { requestInit: { headers } }));
  return Object.assign(made, { [Symbol.asyncDispose]: () => made.close() });
}
