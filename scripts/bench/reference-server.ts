import { createServer } from "node:http";

/**
 * The MCP server that every path of the benchmark leads to: as lean as one can be, so that what is measured is the path.
 * Answers `initialize` and `tools/call` of `echo` (its argument), `big` (so many bytes) and `progress` (one notification, then the result).
 */
const server = createServer((request, response) => {
  const chunks: Buffer[] = [];
  request.on("data", (chunk: Buffer) => chunks.push(chunk));
  request.on("end", () => {
    if (request.method !== "POST") return void response.writeHead(405).end();
    const { id, method, params } = JSON.parse(Buffer.concat(chunks).toString()) as {
      id?: number;
      method: string;
      params?: { name?: string; arguments?: { text?: string; bytes?: number }; _meta?: { progressToken?: string } };
    };
    if (id === undefined) return void response.writeHead(202).end();
    const token = params?._meta?.progressToken;
    if (method === "tools/call" && params?.name === "progress" && token !== undefined) {
      response.writeHead(200, { "content-type": "text/event-stream" });
      const progress = {
        jsonrpc: "2.0",
        method: "notifications/progress",
        params: { progressToken: token, progress: 1, total: 2 },
      };
      response.write(`event: message\ndata: ${JSON.stringify(progress)}\n\n`);
      setTimeout(() => response.end(`event: message\ndata: ${JSON.stringify(answer(id, "done"))}\n\n`), 20);
      return undefined;
    }
    const body = JSON.stringify(
      method === "initialize" ? initialized(id) : method === "tools/call" ? called(id, params) : unknown(id),
    );
    response
      .writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(body) })
      .end(body);
    return undefined;
  });
});

function called(id: number, params: { name?: string; arguments?: { text?: string; bytes?: number } } = {}): object {
  return answer(id, params.name === "big" ? "x".repeat(params.arguments?.bytes ?? 0) : (params.arguments?.text ?? ""));
}

function answer(id: number, text: string): object {
  return { jsonrpc: "2.0", id, result: { content: [{ type: "text", text }] } };
}

function initialized(id: number): object {
  const result = {
    protocolVersion: "2025-11-25",
    capabilities: { tools: {} },
    serverInfo: { name: "reference", version: "1" },
  };
  return { jsonrpc: "2.0", id, result };
}

function unknown(id: number): object {
  return { jsonrpc: "2.0", id, error: { code: -32_601, message: "Method not found" } };
}

server.keepAliveTimeout = 60_000;
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (address !== null && typeof address === "object") process.send?.({ url: `http://127.0.0.1:${address.port}/mcp` });
});
process.on("disconnect", () => process.exit());
