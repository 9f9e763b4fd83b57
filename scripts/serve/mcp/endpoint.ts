import {
  createMcpHandler,
  isInitializeRequest,
  isLegacyRequest,
  legacyStatelessFallback,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
  WebStandardStreamableHTTPServerTransport,
} from "@modelcontextprotocol/server";
import { randomUUID } from "node:crypto";
import { answer, progressOf, type Tool } from "./tool.ts";

/** Prompts may contain images and documents. The Messages API accepts up to 32 MB. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Most clients never end their session. Beyond this number the session that has been idle for longest is dropped. */
const MAX_SESSIONS = 1_000;

/** How long clients may cache the tool list, which changes only with a new version of codez. */
const LIST_TTL_MS = 3_600_000;

interface McpSession {
  readonly transport: WebStandardStreamableHTTPServerTransport;
  readonly server: Server;
}

export interface Endpoint {
  fetch(request: Request, parsedBody: unknown): Promise<Response>;
  close(): Promise<void>;
}

export interface EndpointOptions {
  readonly tools: readonly Tool[];
  readonly version: string;
  readonly onError: (error: Error) => void;
  /** Called for every request, with the client. The first time sets where poll_events without a cursor starts for it. */
  readonly onClient: (client: string) => void;
}

/** MCP at one URL: revision 2026-07-28 without sessions, and 2025-11-25 and earlier with sessions. */
export function createEndpoint({ tools, version, onError, onClient }: EndpointOptions): Endpoint {
  const byName = new Map(tools.map((tool) => [tool.description.name, tool]));
  const list = tools.map((tool) => tool.description);
  const sessions = new Map<string, McpSession>();

  const makeServer = (): Server => {
    const cacheHints = { "tools/list": { ttlMs: LIST_TTL_MS, cacheScope: "public" as const } };
    const server = new Server({ name: "codez", version }, { capabilities: { tools: {} }, cacheHints });
    server.setRequestHandler("tools/list", () => ({ tools: list }));
    server.setRequestHandler("tools/call", async ({ params }, context) => {
      const tool = byName.get(params.name);
      if (tool === undefined) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
      const client = clientOf(context, server);
      onClient(client);
      return answer(tool, params.arguments, { client, signal: context.mcpReq.signal, progress: progressOf(context) });
    });
    return server;
  };

  const modern = createMcpHandler(makeServer, {
    legacy: "reject",
    onerror: onError,
    maxRequestBodySize: MAX_BODY_BYTES,
  });
  const stateless = legacyStatelessFallback(makeServer, onError, { maxRequestBodySize: MAX_BODY_BYTES });

  async function openSession(request: Request, parsedBody: unknown): Promise<Response> {
    const server = makeServer();
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      maxRequestBodySize: MAX_BODY_BYTES,
      onsessioninitialized: async (id) => {
        sessions.set(id, { transport, server });
        onClient(id);
        await forgetOldest();
      },
      onsessionclosed: (id) => void sessions.delete(id),
    });
    await server.connect(transport);
    return transport.handleRequest(request, { parsedBody });
  }

  async function forgetOldest(): Promise<void> {
    const [oldest] = sessions;
    if (sessions.size <= MAX_SESSIONS || oldest === undefined) return;
    sessions.delete(oldest[0]);
    await oldest[1].server.close();
  }

  function fetchLegacy(request: Request, parsedBody: unknown): Promise<Response> | Response {
    const id = request.headers.get("mcp-session-id");
    if (id === null) {
      if (request.method !== "POST") return refuse(405, "Without a session only POST is allowed.");
      return hasInitialize(parsedBody) ? openSession(request, parsedBody) : stateless(request, { parsedBody });
    }
    const session = sessions.get(id);
    // With 404 a client opens a new session by itself after a restart of serve (MCP, "Session Management").
    if (session === undefined) return refuse(404, "Session not found");
    sessions.delete(id);
    sessions.set(id, session);
    return session.transport.handleRequest(request, { parsedBody });
  }

  return {
    fetch: async (request, parsedBody) => {
      const isLegacy = request.method !== "POST" || (await isLegacyRequest(request, parsedBody));
      return isLegacy ? fetchLegacy(request, parsedBody) : modern.fetch(request, { parsedBody });
    },
    close: async () => {
      await modern.close();
      await Promise.all([...sessions.values()].map(({ server }) => server.close()));
      sessions.clear();
    },
  };
}

/** Identifies a client. Without sessions the best available identity is the name that it sends. */
function clientOf(context: ServerContext, server: Server): string {
  if (context.sessionId !== undefined) return context.sessionId;
  const info = server.getClientVersion();
  return info === undefined ? "anonymous" : `${info.name} ${info.version}`;
}

function hasInitialize(body: unknown): boolean {
  return Array.isArray(body) ? body.some(isInitializeRequest) : isInitializeRequest(body);
}

function refuse(status: number, message: string): Response {
  const error = { jsonrpc: "2.0", error: { code: status === 404 ? -32_001 : -32_000, message }, id: null };
  const headers = status === 405 ? { allow: "POST" } : undefined;
  return Response.json(error, headers === undefined ? { status } : { status, headers });
}
