import type { IncomingMessage, ServerResponse } from "node:http";
import * as z from "zod";
import { bodyOf, HttpServer } from "../../scripts/connector/support/http-server.ts";
import { until } from "./eventually.ts";

const Message = z.looseObject({
  id: z.union([z.string(), z.number()]).optional(),
  method: z.string(),
  params: z
    .looseObject({
      name: z.string().optional(),
      arguments: z.looseObject({ name: z.string().optional() }).optional(),
      _meta: z.looseObject({ progressToken: z.union([z.string(), z.number()]).optional() }).optional(),
    })
    .optional(),
});

type Held = { readonly id: unknown; readonly response: ServerResponse };

/**
 * An MCP server of the 2025 era, by hand, whose calls stay open until a test says otherwise. `hold` says nothing until
 * then; `stream` answers with an event stream and one progress notification at once; `echo` answers.
 */
export class HeldServer implements AsyncDisposable {
  /** Calls that came, by the name in their arguments: how often each. */
  readonly calls = new Map<string, number>();
  readonly #held = new Map<string, Held>();
  #http: HttpServer | null = null;

  static async start(): Promise<HeldServer> {
    const server = new HeldServer();
    server.#http = await HttpServer.start((request, response) => server.#serve(request, response));
    return server;
  }

  get url(): URL {
    if (this.#http === null) throw new Error("a server that was not started");
    return this.#http.url;
  }

  /** Resolves once the call of that name is here, and open. */
  async holds(name: string): Promise<void> {
    await until(`the call ${name} reaches the server`, () => this.#held.has(name));
  }

  /** Answers a call that is held. */
  release(name: string): void {
    const held = this.#held.get(name);
    this.#held.delete(name);
    if (held === undefined) return;
    const message = result(held.id, { content: [{ type: "text", text: `${name} is done` }] });
    held.response.end(held.response.headersSent ? `data: ${message}\n\n` : message);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#http?.[Symbol.asyncDispose]();
  }

  async #serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    if (request.method !== "POST") return void response.writeHead(405).end();
    const { id, method, params } = Message.parse(JSON.parse((await bodyOf(request)).toString()));
    if (id === undefined) return void response.writeHead(202).end();
    const json = { "content-type": "application/json" };
    if (method === "initialize") {
      const capabilities = { tools: {} };
      const serverInfo = { name: "held", version: "1" };
      return void response
        .writeHead(200, json)
        .end(result(id, { protocolVersion: "2025-11-25", capabilities, serverInfo }));
    }
    if (method !== "tools/call") {
      const error = { jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } };
      return void response.writeHead(200, json).end(JSON.stringify(error));
    }
    const name = params?.arguments?.name ?? "";
    this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
    if (params?.name === "echo") {
      const body = result(id, { content: [{ type: "text", text: name }] });
      return void response.writeHead(200, { ...json, "content-length": Buffer.byteLength(body) }).end(body);
    }
    if (params?.name === "stream") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const progress = { progressToken: params._meta?.progressToken ?? 0, progress: 1 };
      response.write(
        `data: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/progress", params: progress })}\n\n`,
      );
    }
    this.#held.set(name, { id, response });
  }
}

function result(id: unknown, value: object): string {
  return JSON.stringify({ jsonrpc: "2.0", id, result: value });
}
