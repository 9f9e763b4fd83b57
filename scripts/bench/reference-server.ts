import { createServer } from "node:http";
import { createInterface } from "node:readline";

/**
 * The MCP server that every path of the benchmark leads to: as lean as one can be, so that what is measured is the path.
 * Its tools are `echo` (answers its argument), `big` (answers with a given number of bytes) and `progress` (one notification, then the result).
 * With `--stdio` it speaks over its standard streams instead of HTTP, for proxies that take nothing else.
 */

/** From the notification of `progress` to its result. */
const PROGRESS_MS = 20;

type Message = {
  id?: number | string;
  method: string;
  params?: {
    /** Of `initialize`: what a client asks for is what it gets, so that clients of any revision go on. */
    protocolVersion?: string;
    name?: string;
    arguments?: { text?: string; bytes?: number };
    _meta?: { progressToken?: string | number };
  };
};

const TOOLS = ["echo", "big", "progress"].map((name) => ({ name, inputSchema: { type: "object" } }));

if (process.argv.includes("--stdio")) serveStdio();
else serveHttp();

function serveHttp(): void {
  const server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      if (request.method !== "POST") return void response.writeHead(405).end();
      const message = JSON.parse(Buffer.concat(chunks).toString()) as Message;
      if (message.id === undefined) return void response.writeHead(202).end();
      const progress = progressOf(message);
      if (progress === null) {
        const body = JSON.stringify(answerTo(message));
        const headers = { "content-type": "application/json", "content-length": Buffer.byteLength(body) };
        return void response.writeHead(200, headers).end(body);
      }
      response.writeHead(200, { "content-type": "text/event-stream" }).write(eventOf(progress));
      setTimeout(() => response.end(eventOf(answerTo(message))), PROGRESS_MS);
      return undefined;
    });
  });
  server.keepAliveTimeout = 60_000;
  server.listen(0, "127.0.0.1", () => {
    const address = server.address();
    if (address !== null && typeof address === "object")
      process.send?.({ url: `http://127.0.0.1:${address.port}/mcp` });
  });
  process.on("disconnect", () => process.exit());
}

function serveStdio(): void {
  const write = (message: object): void => void process.stdout.write(`${JSON.stringify(message)}\n`);
  createInterface({ input: process.stdin }).on("line", (line) => {
    const message = JSON.parse(line) as Message;
    if (message.id === undefined) return;
    const progress = progressOf(message);
    if (progress === null) return write(answerTo(message));
    write(progress);
    setTimeout(() => write(answerTo(message)), PROGRESS_MS);
  });
}

function progressOf({ method, params }: Message): object | null {
  const progressToken = params?._meta?.progressToken;
  if (method !== "tools/call" || params?.name !== "progress" || progressToken === undefined) return null;
  return { jsonrpc: "2.0", method: "notifications/progress", params: { progressToken, progress: 1, total: 2 } };
}

function answerTo({ id, method, params }: Message): object {
  switch (method) {
    case "initialize":
      return result(id, {
        protocolVersion: params?.protocolVersion ?? "2025-11-25",
        capabilities: { tools: {} },
        serverInfo: { name: "reference", version: "1" },
      });
    case "ping":
      return result(id, {});
    case "tools/list":
      return result(id, { tools: TOOLS });
    case "tools/call":
      return result(id, { content: [{ type: "text", text: textOf(params) }] });
    default:
      return { jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } };
  }
}

function textOf({ name, arguments: args }: NonNullable<Message["params"]> = {}): string {
  if (name === "progress") return "done";
  return name === "big" ? "x".repeat(args?.bytes ?? 0) : (args?.text ?? "");
}

function result(id: Message["id"], value: object): object {
  return { jsonrpc: "2.0", id, result: value };
}

function eventOf(message: object): string {
  return `event: message\ndata: ${JSON.stringify(message)}\n\n`;
}
