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

/** Prompts may bring pictures and documents; the Messages API itself stops at 32 MB. */
export const MAX_BODY_BYTES = 32 * 1024 * 1024;

/** Clients that never say goodbye are the rule. Past this many the one silent for longest is forgotten. */
const MAX_SESSIONS = 1_000;

/** The list changes with a new version of codez and never else. */
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
  /** A client was seen; poll_events without a cursor starts for it here. */
  readonly onClient: (client: string) => void;
}

/** MCP at one URL: 2026-07-28 without sessions, and 2025-11-25 and before with them. */
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
      if (request.method !== "POST") return refuse(405, "Only POST without a session.");
      return hasInitialize(parsedBody) ? openSession(request, parsedBody) : stateless(request, { parsedBody });
    }
    const session = sessions.get(id);
    // The rule that makes a client start anew by itself after a restart of serve.
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

/** Without sessions the nearest thing to "the same client" is the name it gives itself. */
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
