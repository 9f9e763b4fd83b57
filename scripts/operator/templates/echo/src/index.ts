import { createMcpHandler, McpServer } from "@modelcontextprotocol/server";
import * as z from "zod";

/** Serves every revision of MCP at /mcp. Operator has checked who the caller is before a request arrives here. */
const handler = createMcpHandler(() => {
  const server = new McpServer({ name: "echo", version: "1.0.0" });
  server.registerTool(
    "echo",
    {
      title: "Echo",
      description: "Answers with the message that it was sent.",
      inputSchema: z.object({ message: z.string() }),
      annotations: { readOnlyHint: true },
    },
    ({ message }) => ({ content: [{ type: "text", text: `echo: ${message}` }] }),
  );
  return server;
});

export default { fetch: (request: Request) => handler.fetch(request) };
