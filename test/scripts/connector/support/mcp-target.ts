import { randomUUID } from "node:crypto";
import { createMcpHandler, Server, WebStandardStreamableHTTPServerTransport } from "@modelcontextprotocol/server";
import type { Answer, Target, TargetRequest } from "../../../../scripts/connector/target.ts";

export type ToolCall = { readonly name: string; readonly args: Record<string, unknown> };
export type ToolAnswer = {
  readonly structuredContent?: Record<string, unknown>;
  readonly text?: string;
  readonly isError?: boolean;
};

/** A real MCP server as a target: tools that a test answers, sessions (2025) or none (2026-07-28). */
export class McpTarget implements Target {
  readonly calls: ToolCall[] = [];
  /** Methods of the HTTP requests that came. */
  readonly methods: string[] = [];
  readonly #tools: Readonly<Record<string, readonly string[]>>;
  readonly #answer: (call: ToolCall) => ToolAnswer | Promise<ToolAnswer>;
  readonly #sessions = new Map<string, { transport: WebStandardStreamableHTTPServerTransport; server: Server }>();
  readonly #modern: ReturnType<typeof createMcpHandler> | null;
  #seen: (() => void)[] = [];

  /** @param tools their names, each with its parameters. */
  constructor(
    era: "legacy" | "modern",
    tools: Readonly<Record<string, readonly string[]>>,
    answer: (call: ToolCall) => ToolAnswer | Promise<ToolAnswer>,
  ) {
    this.#tools = tools;
    this.#answer = answer;
    this.#modern = era === "modern" ? createMcpHandler(() => this.#server(), { legacy: "reject" }) : null;
  }

  /** Forgets all sessions, as a server does that is started again. */
  async restart(): Promise<void> {
    for (const { server } of this.#sessions.values()) await server.close();
    this.#sessions.clear();
  }

  async notify(): Promise<void> {
    this.#modern?.notify.toolsChanged();
    for (const { server } of this.#sessions.values())
      await server.notification({ method: "notifications/tools/list_changed" });
  }

  async until(holds: () => boolean): Promise<void> {
    while (!holds()) await new Promise<void>((resolve) => this.#seen.push(resolve));
  }

  serve(request: TargetRequest, answer: Answer): void {
    this.methods.push(request.method);
    this.#wake();
    this.#serve(request, answer).catch((reason: unknown) => answer.fail(String(reason)));
  }

  async close(): Promise<void> {
    await this.restart();
    await this.#modern?.close();
  }

  async #serve({ method, headers, body }: TargetRequest, answer: Answer): Promise<void> {
    const bytes = body instanceof Uint8Array ? new Uint8Array(body) : null;
    const hasBody = method === "POST" && bytes !== null;
    const abort = new AbortController();
    answer.cancelled = () => abort.abort();
    const request = new Request("http://127.0.0.1/mcp", {
      method,
      headers,
      body: hasBody ? bytes : null,
      signal: abort.signal,
    });
    const response = await (this.#modern === null ? this.#legacy(request) : this.#modern.fetch(request));
    answer.head(response.status, [...response.headers]);
    if (response.body !== null) for await (const chunk of response.body) answer.write(chunk);
    answer.end();
  }

  async #legacy(request: Request): Promise<Response> {
    const id = request.headers.get("mcp-session-id");
    if (id !== null) {
      const session = this.#sessions.get(id);
      return session?.transport.handleRequest(request) ?? new Response("Session not found", { status: 404 });
    }
    const server = this.#server();
    const transport = new WebStandardStreamableHTTPServerTransport({
      sessionIdGenerator: () => randomUUID(),
      onsessioninitialized: (opened) => void this.#sessions.set(opened, { transport, server }),
      onsessionclosed: (closed) => void this.#sessions.delete(closed),
    });
    await server.connect(transport);
    return transport.handleRequest(request);
  }

  #server(): Server {
    const server = new Server({ name: "polled", version: "7" }, { capabilities: { tools: { listChanged: true } } });
    const tools = Object.entries(this.#tools).map(([name, parameters]) => ({
      name,
      inputSchema: { type: "object" as const, properties: Object.fromEntries(parameters.map((one) => [one, {}])) },
    }));
    server.setRequestHandler("tools/list", () => ({ tools }));
    server.setRequestHandler("tools/call", async ({ params }) => {
      const call = { name: params.name, args: params.arguments ?? {} };
      this.calls.push(call);
      this.#wake();
      const { structuredContent, text = "", isError = false } = await this.#answer(call);
      const content = [{ type: "text" as const, text }];
      return { content, isError, ...(structuredContent === undefined ? {} : { structuredContent }) };
    });
    return server;
  }

  #wake(): void {
    for (const wake of this.#seen.splice(0)) wake();
  }
}
