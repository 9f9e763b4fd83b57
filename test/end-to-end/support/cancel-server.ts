import { randomUUID } from "node:crypto";
import { Server as OlderServer } from "@modelcontextprotocol/sdk/server/index.js";
import { WebStandardStreamableHTTPServerTransport as OlderTransport } from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import * as older from "@modelcontextprotocol/sdk/types.js";
import { createMcpHandler, Server } from "@modelcontextprotocol/server";
import { until } from "./eventually.ts";
import { FetchServer } from "./fetch-server.ts";

const INFO = { name: "cancel", version: "1" };
const TOOLS = {
  tools: [{ name: "hold", description: "Works until cancelled.", inputSchema: { type: "object" as const } }],
};

/**
 * An MCP server on the SDKs, in one revision, whose one tool works until it is cancelled. Which is what a test looks at: the
 * signal that the SDK gives to a tool, not the wire.
 */
export class CancelServer implements AsyncDisposable {
  /** Calls that have begun, and those of them that were cancelled. */
  begun = 0;
  cancelled = 0;
  #http: FetchServer | null = null;

  static async start(era: "2025-11-25" | "2026-07-28"): Promise<CancelServer> {
    const server = new CancelServer();
    server.#http = await FetchServer.start(era === "2026-07-28" ? server.#modern() : server.#legacy());
    return server;
  }

  get url(): URL {
    if (this.#http === null) throw new Error("a server that was not started");
    return this.#http.url;
  }

  /** Resolves once a call has begun that was not there before. */
  async begins(): Promise<void> {
    const before = this.begun;
    await until("a call reaches the server", () => this.begun > before);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
  }

  #hold(signal: AbortSignal): Promise<{ content: [] }> {
    this.begun += 1;
    return new Promise((resolve) => {
      const end = (): void => {
        this.cancelled += 1;
        resolve({ content: [] });
      };
      if (signal.aborted) end();
      else signal.addEventListener("abort", end, { once: true });
    });
  }

  #modern(): (request: Request) => Promise<Response> {
    const handler = createMcpHandler(
      () => {
        const server = new Server(INFO, { capabilities: { tools: {} } });
        server.setRequestHandler("tools/list", () => TOOLS);
        server.setRequestHandler("tools/call", (_, { mcpReq }) => this.#hold(mcpReq.signal));
        return server;
      },
      { legacy: "reject" },
    );
    return (request) => handler.fetch(request);
  }

  #legacy(): (request: Request) => Promise<Response> {
    const sessions = new Map<string, OlderTransport>();
    return async (request) => {
      const known = sessions.get(request.headers.get("mcp-session-id") ?? "");
      if (known !== undefined) return known.handleRequest(request);
      const transport = new OlderTransport({
        sessionIdGenerator: randomUUID,
        onsessioninitialized: (session) => void sessions.set(session, transport),
      });
      const server = new OlderServer(INFO, { capabilities: { tools: {} } });
      server.setRequestHandler(older.ListToolsRequestSchema, () => TOOLS);
      server.setRequestHandler(older.CallToolRequestSchema, (_, { signal }) => this.#hold(signal));
      // The SDK's own types disagree under exactOptionalPropertyTypes.
      await server.connect(transport as unknown as Parameters<OlderServer["connect"]>[0]);
      return transport.handleRequest(request);
    };
  }
}
