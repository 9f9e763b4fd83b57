import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { Server as OlderServer } from "@modelcontextprotocol/sdk/server/index.js";
import {
  type EventStore,
  WebStandardStreamableHTTPServerTransport as OlderTransport,
} from "@modelcontextprotocol/sdk/server/webStandardStreamableHttp.js";
import * as older from "@modelcontextprotocol/sdk/types.js";
import {
  createMcpHandler,
  ProtocolError,
  ProtocolErrorCode,
  Server,
  type ServerContext,
} from "@modelcontextprotocol/server";
import { FetchServer } from "../fetch-server.ts";
import { COMPLETION, getPrompt, type Means, PROMPTS, readResource, RESOURCES, TEMPLATES, TOOLS } from "./fixtures.ts";
import { BadState, INPUT_TOOLS, inputPrompt, type Round } from "./input-required.ts";

const PAUSE_MS = 50;

const INFO = { name: "conformance", version: "1" };

const pause = (): Promise<void> => sleep(PAUSE_MS);

/** An MCP server for the public conformance suite: the 2025 era with sessions and resumable streams, and 2026-07-28, on one URL. */
export async function startConformanceServer(): Promise<FetchServer> {
  const sessions = new Map<string, OlderTransport>();
  const modern = createMcpHandler(() => modernServer(), { legacy: "reject" });
  return FetchServer.start(async (request) => {
    const refusal = refuse(request);
    if (refusal !== null) return refusal;
    const text = request.method === "POST" ? await request.clone().text() : "";
    if (isModern(request, text)) return refuseParameter(request, text) ?? modern.fetch(request);
    const id = request.headers.get("mcp-session-id");
    const known = id === null ? undefined : sessions.get(id);
    if (known !== undefined) return known.handleRequest(request);
    if (id !== null) return failure(404, -32_001, "Session not found");
    if (!text.includes('"initialize"')) return failure(400, -32_000, "Bad Request: no session");
    const transport = new OlderTransport({
      sessionIdGenerator: randomUUID,
      eventStore: new Events(),
      retryInterval: PAUSE_MS,
      onsessioninitialized: (session) => void sessions.set(session, transport),
      onsessionclosed: (session) => void sessions.delete(session),
    });
    // The SDK's own types disagree under exactOptionalPropertyTypes.
    await legacyServer().connect(transport as unknown as Parameters<OlderServer["connect"]>[0]);
    return transport.handleRequest(request);
  });
}

/** As servers on loopback do, against DNS rebinding. */
function refuse(request: Request): Response | null {
  const isLocal = (host: string): boolean => /^(127\.0\.0\.1|localhost|\[::1\])(:\d+)?$/.test(host);
  const origin = request.headers.get("origin");
  const isFine = isLocal(new URL(request.url).host) && (origin === null || isLocal(new URL(origin).host));
  return isFine ? null : failure(403, -32_000, "Forbidden");
}

function isModern(request: Request, text: string): boolean {
  const version = request.headers.get("mcp-protocol-version") ?? "";
  return version >= "2026" || text.includes("io.modelcontextprotocol/") || text.includes('"server/discover"');
}

function failure(status: number, code: number, message: string): Response {
  return Response.json({ jsonrpc: "2.0", id: null, error: { code, message } }, { status });
}

/** A parameter that travels in a header must be there and say what the body says (2026-07-28, "Custom headers"). */
function refuseParameter(request: Request, text: string): Response | null {
  if (!text.includes('"test_header_parameter"')) return null;
  const { id, params } = JSON.parse(text) as { id: unknown; params: { arguments?: { region?: string } } };
  const shown = request.headers.get("mcp-param-region");
  const said = params.arguments?.region;
  if (said === undefined ? shown === null : decoded(shown) === said) return null;
  const error = { code: -32_020, message: "Header mismatch: Mcp-Param-Region" };
  return Response.json({ jsonrpc: "2.0", id, error }, { status: 400 });
}

function decoded(value: string | null): string | null {
  const base64 = /^=\?base64\?(.*)\?=$/.exec(value ?? "")?.[1];
  if (base64 === undefined) return value;
  const bytes = Buffer.from(base64, "base64");
  return bytes.toString("base64") === base64 ? bytes.toString() : null;
}

/** Every event of a session, for a client that comes back for what it missed. */
class Events implements EventStore {
  readonly #events: { id: string; stream: string; message: older.JSONRPCMessage }[] = [];

  storeEvent(stream: string, message: older.JSONRPCMessage): Promise<string> {
    const id = `${this.#events.length}`;
    this.#events.push({ id, stream, message });
    return Promise.resolve(id);
  }

  async replayEventsAfter(
    last: string,
    { send }: { send: (id: string, message: older.JSONRPCMessage) => Promise<void> },
  ): Promise<string> {
    const stream = this.#events[Number(last)]?.stream ?? "";
    for (const { id, message } of this.#events.filter((one) => one.stream === stream && Number(one.id) > Number(last)))
      if (Object.keys(message).length > 0) await send(id, message);
    return stream;
  }
}

const listedTools = Object.entries(TOOLS).map(([name, { description, inputSchema }]) => ({
  name,
  description,
  inputSchema,
}));

function legacyServer(): OlderServer {
  const capabilities = { tools: {}, prompts: {}, resources: { subscribe: true }, logging: {}, completions: {} };
  const server = new OlderServer(INFO, { capabilities });
  server.setRequestHandler(older.ListToolsRequestSchema, () => ({ tools: listedTools }));
  server.setRequestHandler(older.CallToolRequestSchema, async ({ params }, extra) => {
    const tool = TOOLS[params.name];
    if (tool === undefined) throw new older.McpError(older.ErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    const progressToken = params._meta?.progressToken;
    const means: Means = {
      pause,
      log: (data) => extra.sendNotification({ method: "notifications/message", params: { level: "info", data } }),
      progress: async (progress, total) => {
        if (progressToken === undefined) return;
        await extra.sendNotification({ method: "notifications/progress", params: { progressToken, progress, total } });
      },
      ask: (method, asked) =>
        extra.sendRequest({ method, params: asked } as older.ServerRequest, older.ResultSchema.passthrough()),
      closeStream: () => extra.closeSSEStream?.(),
    };
    return { ...(await tool.run(params.arguments ?? {}, means)) };
  });
  server.setRequestHandler(older.ListResourcesRequestSchema, () => ({ resources: RESOURCES }));
  server.setRequestHandler(older.ListResourceTemplatesRequestSchema, () => ({ resourceTemplates: TEMPLATES }));
  server.setRequestHandler(older.ReadResourceRequestSchema, ({ params: { uri } }) => {
    const contents = readResource(uri);
    if (contents === null) throw new older.McpError(-32_002, "Resource not found", { uri });
    return { contents } as older.ReadResourceResult;
  });
  server.setRequestHandler(older.SubscribeRequestSchema, () => ({}));
  server.setRequestHandler(older.UnsubscribeRequestSchema, () => ({}));
  server.setRequestHandler(older.ListPromptsRequestSchema, () => ({ prompts: PROMPTS }));
  server.setRequestHandler(older.GetPromptRequestSchema, ({ params }) => {
    const messages = getPrompt(params.name, params.arguments);
    if (messages === null) throw new older.McpError(older.ErrorCode.InvalidParams, `Unknown prompt: ${params.name}`);
    return { messages } as older.GetPromptResult;
  });
  server.setRequestHandler(older.CompleteRequestSchema, () => COMPLETION);
  return server;
}

/** Tools of the 2025 era alone: in 2026-07-28 a server asks in its result. */
const ASKS = /^test_(sampling|elicitation|reconnection)/;

const modernTools = [
  ...listedTools.filter(({ name }) => !ASKS.test(name)),
  ...[...Object.keys(INPUT_TOOLS), "test_missing_capability"].map((name) => ({
    name,
    description: "Ask for input.",
    inputSchema: { type: "object" as const, properties: {} },
  })),
];

function roundOf({ mcpReq }: ServerContext): Round {
  const envelope: Record<string, unknown> = { ...mcpReq.envelope };
  const capabilities = { ...(envelope["io.modelcontextprotocol/clientCapabilities"] as object | undefined) };
  return { responses: mcpReq.inputResponses, state: mcpReq.requestState<string>(), capabilities };
}

function modernServer(): Server {
  const capabilities = { tools: {}, prompts: {}, resources: {}, logging: {}, completions: {} };
  const server = new Server(INFO, {
    capabilities,
    cacheHints: Object.fromEntries(
      ["tools/list", "prompts/list", "resources/list", "resources/templates/list", "resources/read"].map((method) => [
        method,
        { ttlMs: 1_000, cacheScope: "public" as const },
      ]),
    ),
  });
  server.setRequestHandler("tools/list", () => ({ tools: modernTools }));
  server.setRequestHandler("tools/call", async ({ params }, context) => {
    const { mcpReq } = context;
    const input = INPUT_TOOLS[params.name];
    if (input !== undefined) return checked(() => input(roundOf(context))) as object as { content: [] };
    if (params.name === "test_missing_capability" && roundOf(context).capabilities["sampling"] === undefined)
      throw new ProtocolError(-32_021, "Missing required client capability", {
        requiredCapabilities: { sampling: {} },
      });
    const tool = TOOLS[params.name];
    if (tool === undefined || ASKS.test(params.name))
      throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown tool: ${params.name}`);
    const progressToken = mcpReq._meta?.progressToken;
    const envelope: Record<string, unknown> = { ...mcpReq.envelope };
    const level = envelope["io.modelcontextprotocol/logLevel"];
    const means: Means = {
      pause,
      log: async (data) => {
        if (level !== undefined)
          await mcpReq.notify({ method: "notifications/message", params: { level: "info", data } });
      },
      progress: async (progress, total) => {
        if (progressToken === undefined) return;
        await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total } });
      },
      ask: () => Promise.reject(new Error("a server of 2026-07-28 asks in its result")),
      closeStream: () => undefined,
    };
    return (await tool.run(params.arguments ?? {}, means)) as { content: [] };
  });
  server.setRequestHandler("resources/list", () => ({ resources: RESOURCES }));
  server.setRequestHandler("resources/templates/list", () => ({ resourceTemplates: TEMPLATES }));
  server.setRequestHandler("resources/read", ({ params: { uri } }) => {
    const contents = readResource(uri);
    if (contents === null) throw new ProtocolError(ProtocolErrorCode.InvalidParams, "Resource not found", { uri });
    return { contents } as object as { contents: [] };
  });
  server.setRequestHandler("prompts/list", () => ({
    prompts: [...PROMPTS, { name: "test_input_required_result_prompt", description: "One that asks first." }],
  }));
  server.setRequestHandler("prompts/get", ({ params }, context) => {
    if (params.name === "test_input_required_result_prompt")
      return checked(() => inputPrompt(roundOf(context))) as object as { messages: [] };
    const messages = getPrompt(params.name, params.arguments);
    if (messages === null) throw new ProtocolError(ProtocolErrorCode.InvalidParams, `Unknown prompt: ${params.name}`);
    return { messages } as object as { messages: [] };
  });
  server.setRequestHandler("completion/complete", () => COMPLETION);
  return server;
}

function checked(answer: () => object): object {
  try {
    return answer();
  } catch (reason) {
    if (reason instanceof BadState) throw new ProtocolError(ProtocolErrorCode.InvalidParams, reason.message);
    throw reason;
  }
}
