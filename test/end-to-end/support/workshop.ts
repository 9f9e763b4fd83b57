import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import * as z from "zod";
import { until } from "./eventually.ts";
import { FetchServer } from "./fetch-server.ts";

/** An MCP server over HTTP that speaks both revisions, with tools whose every step a test can see and time. */
export class Workshop implements AsyncDisposable {
  /** Calls of `wait` that are under way, by the name they were given. */
  readonly waiting = new Map<string, () => void>();
  /** Names of calls of `wait` that were cancelled. */
  readonly cancelled: string[] = [];
  /** How often each name was called. */
  readonly calls = new Map<string, number>();
  #http: FetchServer | null = null;

  static async start(): Promise<Workshop> {
    const workshop = new Workshop();
    const handler = createMcpHandler(() => workshop.#server(), { maxRequestBodySize: 16 * 1024 * 1024 });
    workshop.#http = await FetchServer.start((request) => handler.fetch(request));
    return workshop;
  }

  get url(): URL {
    if (this.#http === null) throw new Error("a workshop that was not started");
    return this.#http.url;
  }

  /** Lets a call of `wait` go on to its end, once it has come. */
  async release(name: string): Promise<void> {
    await until(`the call ${name}`, () => this.waiting.has(name));
    this.waiting.get(name)?.();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const release of this.waiting.values()) release();
    await this.#http?.[Symbol.asyncDispose]();
  }

  #server(): McpServer {
    const server = new McpServer({ name: "workshop", version: "1" });
    const numbers = { a: z.number(), b: z.number() };
    server.registerTool(
      "add",
      { description: "Add.", inputSchema: z.object(numbers), outputSchema: z.object({ sum: z.number() }) },
      ({ a, b }) => ({
        content: [{ type: "text", text: String(a + b) }],
        structuredContent: { sum: a + b },
        _meta: { "example.com/kept": [1, 2] },
      }),
    );
    server.registerTool(
      "wait",
      {
        description: "Wait to be released.",
        inputSchema: z.object({ name: z.string(), steps: z.number().default(0) }),
      },
      async ({ name, steps }, { mcpReq }) => {
        this.calls.set(name, (this.calls.get(name) ?? 0) + 1);
        const progressToken = mcpReq._meta?.progressToken;
        const told = progressToken === undefined ? 0 : steps;
        for (let progress = 1; progress <= told; progress += 1)
          await mcpReq.notify({
            method: "notifications/progress",
            params: { progressToken: progressToken ?? "", progress, total: steps, message: `step ${progress}` },
          });
        await new Promise<void>((resolve) => {
          this.waiting.set(name, resolve);
          mcpReq.signal.addEventListener("abort", () => {
            this.cancelled.push(name);
            resolve();
          });
        });
        this.waiting.delete(name);
        return { content: [{ type: "text", text: `${name} is done` }] };
      },
    );
    server.registerTool(
      "repeat",
      { description: "Say it again.", inputSchema: z.object({ text: z.string(), times: z.number().default(1) }) },
      ({ text, times }) => ({ content: [{ type: "text", text: text.repeat(times) }] }),
    );
    server.registerTool("fail", { description: "Fail.", inputSchema: z.object({}) }, () => ({
      isError: true,
      content: [{ type: "text", text: "as it was meant to" }],
    }));
    return server;
  }
}
