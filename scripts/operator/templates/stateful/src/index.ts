import { createMcpHandler, type McpHttpHandler, McpServer } from "@modelcontextprotocol/server";
import { DurableObject } from "cloudflare:workers";
import * as z from "zod";

type Env = { readonly NOTES: DurableObjectNamespace<Notes> };

/** Keeps the notes. Its storage survives restarts and new versions, and is deleted with the server. */
export class Notes extends DurableObject {
  add(text: string): number {
    this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    this.ctx.storage.sql.exec("INSERT INTO note (text) VALUES (?)", text);
    return this.all().length;
  }

  all(): string[] {
    this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    return this.ctx.storage.sql
      .exec<{ text: string }>("SELECT text FROM note ORDER BY id")
      .toArray()
      .map(({ text }) => text);
  }
}

/** One handler per isolate. `env` is the same for all requests of an isolate. */
let handler: McpHttpHandler | undefined;

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    handler ??= createMcpHandler(() => serverWith(env.NOTES.getByName("all")));
    return handler.fetch(request);
  },
};

function serverWith(notes: DurableObjectStub<Notes>): McpServer {
  const server = new McpServer({ name: "notes", version: "1.0.0" });
  server.registerTool(
    "add_note",
    {
      title: "Add a note",
      description: "Keeps a note, and answers how many there are.",
      inputSchema: z.object({ text: z.string().max(10_000) }),
    },
    async ({ text }) => ({ content: [{ type: "text", text: `${await notes.add(text)} notes` }] }),
  );
  server.registerTool(
    "list_notes",
    {
      title: "List the notes",
      description: "All notes, the oldest first.",
      inputSchema: z.object({}),
      annotations: { readOnlyHint: true },
    },
    async () => ({ content: [{ type: "text", text: (await notes.all()).join("\n") }] }),
  );
  return server;
}
