import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import type { Ledger } from "./ledger.ts";

type Work = { id: string; delayMs?: number; bytes?: number; stream?: boolean };
type Message = {
  id?: string | number;
  method?: string;
  params?: { name?: string; arguments?: Record<string, unknown>; _meta?: { progressToken?: string | number } };
};

/** Pages of events are small, so that readers need many of them. */
const EVENTS_PER_POLL = 50;

/** How long a poll waits when there is nothing new; shorter than a campaign's shortest fault. */
const POLL_WAIT_MS = 1_000;

/**
 * A machine's MCP server. Faults never affect it, so what it saw is the truth to which callers' outcomes are compared. `work`
 * records that it ran and answers with its id; `poll_events` returns numbered events by cursor.
 */
export class ToolServer {
  readonly #server: Server;
  readonly #machine: string;
  readonly #ledger: Ledger;
  #events = 0;

  constructor(machine: string, ledger: Ledger) {
    this.#machine = machine;
    this.#ledger = ledger;
    this.#server = createServer((request, response) => {
      this.#serve(request, response).catch(() => response.destroy()); // its client went away
    });
  }

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}/mcp`;
  }

  /** Creates one more event. */
  tell(): void {
    this.#events += 1;
    this.#ledger.emitted.set(this.#machine, this.#events);
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") return void response.writeHead(405).end();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as Message;
    if (id === undefined) return void response.writeHead(202).end();
    const result = await this.#result(method, params, response, id);
    if (result === null) return;
    const body = JSON.stringify({ jsonrpc: "2.0", id, ...result });
    response
      .writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
      .end(body);
  }

  /** `null`: the answer was streamed. */
  async #result(
    method: string | undefined,
    params: Message["params"],
    response: ServerResponse,
    id: string | number,
  ): Promise<object | null> {
    if (method === "initialize") {
      const serverInfo = { name: "chaos", version: "1" };
      return { result: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo } };
    }
    if (method === "tools/list") return { result: { tools: TOOLS } };
    if (method === "ping") return { result: {} };
    if (method !== "tools/call") return { error: { code: -32_601, message: "Method not found" } };
    if (params?.name === "poll_events") return { result: await this.#poll(params.arguments?.["cursor"]) };
    const {
      id: call = "nameless",
      delayMs = 0,
      bytes = 0,
      stream = false,
    } = (params?.arguments ?? {}) as Partial<Work>;
    this.#ledger.ran(call);
    const text = `${call} ${"x".repeat(bytes)}`;
    if (!stream) {
      if (delayMs > 0) await sleep(delayMs);
      return { result: { content: [{ type: "text", text }] } };
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    const progressToken = params?._meta?.progressToken ?? call;
    for (let step = 1; step <= 3; step += 1) {
      const notification = {
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken, progress: step },
      };
      response.write(`data: ${JSON.stringify(notification)}\n\n`);
      await sleep(delayMs / 3);
    }
    response.end(`data: ${JSON.stringify({ jsonrpc: "2.0", id, result: { content: [{ type: "text", text }] } })}\n\n`);
    return null;
  }

  async #poll(cursor: unknown): Promise<object> {
    const from = typeof cursor === "string" ? Number(cursor) : 0;
    if (this.#events <= from) await sleep(POLL_WAIT_MS);
    const to = Math.min(this.#events, from + EVENTS_PER_POLL);
    const events = Array.from({ length: to - from }, (_, index) => ({
      type: "message",
      session: "chaos",
      atMs: Date.now(),
      data: { number: from + index + 1 },
    }));
    const page = { events, cursor: String(to) };
    return { content: [{ type: "text", text: JSON.stringify(page) }], structuredContent: page };
  }
}

const TOOLS = [
  { name: "work", description: "Records that it ran.", inputSchema: { type: "object" } },
  {
    name: "poll_events",
    description: "Numbered events.",
    inputSchema: { type: "object", properties: { cursor: { type: "string" }, timeout_ms: { type: "number" } } },
  },
];
