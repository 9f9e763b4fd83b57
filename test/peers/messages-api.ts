import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import * as z from "zod";

/**
 * A stand-in for the model's HTTP API (`POST /v1/messages`, streamed), for tests that run the real Claude Code:
 * point `ANTHROPIC_BASE_URL` at its `url`. What it answers is a function of the conversation so far, so sessions that
 * run at the same time cannot take each other's lines.
 */
export interface MessagesApi extends AsyncDisposable {
  readonly url: string;
  /** Every conversation that was asked about, in order of arrival. */
  readonly asked: readonly Conversation[];
  /** The last one that belongs to a turn. Claude Code asks its side questions at any time, also after a turn. */
  readonly lastOfTurn: Conversation | undefined;
  /** Replaces what is answered from now on. */
  script(answer: Script): void;
}

export type Script = (conversation: Conversation) => Reply | Promise<Reply>;

export interface Conversation {
  readonly model: string;
  /** The person's last message, without the parts that Claude Code adds (`<system-reminder>` blocks). */
  readonly prompt: string;
  /** All that the person said, oldest first. */
  readonly prompts: readonly string[];
  /** Results of the tools called since `prompt`, oldest first. */
  readonly results: readonly ToolResult[];
  /** The tools Claude Code offers; empty for its own side questions (titles and the like). */
  readonly tools: readonly string[];
  readonly body: MessagesRequest;
  /** Aborts when Claude Code hangs up. */
  readonly signal: AbortSignal;
}

export interface ToolResult {
  readonly text: string;
  readonly isError: boolean;
}

export type Block =
  | { readonly text: string | AsyncIterable<string> }
  | { readonly tool: string; readonly input: Record<string, unknown> };

export type Reply =
  | { readonly blocks: readonly Block[]; readonly usage?: Readonly<Record<string, number>> }
  | { readonly status: number; readonly error: string; readonly message: string };

const Content = z.union([
  z.string(),
  z.array(
    z.looseObject({
      type: z.string(),
      text: z.string().optional(),
      content: z.unknown().optional(),
      is_error: z.boolean().nullish(),
    }),
  ),
]);

const MessagesRequest = z.looseObject({
  model: z.string(),
  messages: z.array(z.object({ role: z.string(), content: Content })),
  tools: z.array(z.looseObject({ name: z.string() })).optional(),
});
export type MessagesRequest = z.infer<typeof MessagesRequest>;

/** The answer without a script: enough to end any turn. */
const DEFAULT_SCRIPT: Script = ({ prompt }) => ({ blocks: [{ text: `You said: ${prompt}` }] });

export async function startMessagesApi(first: Script = DEFAULT_SCRIPT): Promise<MessagesApi> {
  let script = first;
  const asked: Conversation[] = [];
  const server = createServer((request, response) => {
    serve(request, response).catch((error: unknown) => {
      // A script that throws is a broken test: say so to Claude Code, which shows it in the turn's result.
      if (response.headersSent) response.destroy();
      else sendError(response, { status: 400, error: "invalid_request_error", message: String(error) });
    });
  });

  async function serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const text = await readBody(request);
    const path = new URL(request.url ?? "/", "http://localhost").pathname;
    if (path === "/v1/messages/count_tokens") return sendJson(response, 200, { input_tokens: 10 });
    if (request.method !== "POST" || path !== "/v1/messages") {
      return sendError(response, { status: 404, error: "not_found_error", message: path });
    }
    const hangUp = new AbortController();
    response.on("close", () => hangUp.abort());
    const conversation = readConversation(MessagesRequest.parse(JSON.parse(text)), hangUp.signal);
    asked.push(conversation);
    const reply = await script(conversation);
    if ("error" in reply) return sendError(response, reply);
    // Unlike any other stand-in's: usage is told apart by it.
    await stream(response, reply, conversation, `msg_${randomUUID().replaceAll("-", "")}`);
  }

  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the stand-in has no port");
  return {
    url: `http://127.0.0.1:${address.port}`,
    asked,
    get lastOfTurn() {
      return asked.findLast(({ tools }) => tools.length > 0);
    },
    script: (answer) => {
      script = answer;
    },
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      server.close();
      await once(server, "close");
    },
  };
}

function readConversation(body: MessagesRequest, signal: AbortSignal): Conversation {
  const prompts: string[] = [];
  let results: ToolResult[] = [];
  for (const message of body.messages) {
    if (message.role !== "user") continue;
    const blocks = typeof message.content === "string" ? [{ type: "text", text: message.content }] : message.content;
    for (const block of blocks) {
      if (block.type === "tool_result") {
        results.push({ text: flatten(block.content), isError: block.is_error === true });
        continue;
      }
      const text = block.type === "text" ? withoutReminders(block.text ?? "") : "";
      if (text === "") continue;
      prompts.push(text);
      results = [];
    }
  }
  return {
    model: body.model,
    prompt: prompts.at(-1) ?? "",
    prompts,
    results,
    tools: (body.tools ?? []).map((tool) => tool.name),
    body,
    signal,
  };
}

/** Claude Code puts its reminders, and a line for each picture, beside what the person said. */
function withoutReminders(text: string): string {
  return text.replaceAll(/<system-reminder>[\s\S]*?<\/system-reminder>|\[Image: source: [^\]]*\]/g, "").trim();
}

function flatten(content: unknown): string {
  return typeof content === "string" ? content : JSON.stringify(content ?? "");
}

type Answer = Extract<Reply, { blocks: readonly Block[] }>;

async function stream(
  response: ServerResponse,
  reply: Answer,
  { model, signal }: Conversation,
  id: string,
): Promise<void> {
  const usage = { input_tokens: 100, output_tokens: 0, cache_read_input_tokens: 0, cache_creation_input_tokens: 0 };
  const send = (event: { type: string }) =>
    void response.write(`event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`);
  response.writeHead(200, { "content-type": "text/event-stream", "request-id": `req_${id}` });
  const message = {
    id,
    type: "message",
    role: "assistant",
    model,
    content: [],
    stop_reason: null,
    stop_sequence: null,
  };
  send({ type: "message_start", message: { ...message, usage: { ...usage, ...reply.usage } } } as { type: string });
  for (const [index, block] of reply.blocks.entries()) {
    for await (const event of blockEvents(block, index, id)) {
      if (signal.aborted) return;
      send(event);
    }
  }
  const stopReason = reply.blocks.some((block) => "tool" in block) ? "tool_use" : "end_turn";
  const delta = { stop_reason: stopReason, stop_sequence: null };
  send({ type: "message_delta", delta, usage: { output_tokens: 50, ...reply.usage } } as { type: string });
  send({ type: "message_stop" });
  response.end();
}

async function* blockEvents(block: Block, index: number, id: string): AsyncGenerator<{ type: string }> {
  const delta = (part: object) => ({ type: "content_block_delta", index, delta: part });
  if ("tool" in block) {
    const use = { type: "tool_use", id: `toolu_${id}_${index}`, name: block.tool, input: {} };
    yield { type: "content_block_start", index, content_block: use } as { type: string };
    yield delta({ type: "input_json_delta", partial_json: JSON.stringify(block.input) });
  } else {
    yield { type: "content_block_start", index, content_block: { type: "text", text: "" } } as { type: string };
    const parts = typeof block.text === "string" ? [block.text] : block.text;
    for await (const text of parts) yield delta({ type: "text_delta", text });
  }
  yield { type: "content_block_stop", index } as { type: string };
}

function sendError(response: ServerResponse, { status, error, message }: Exclude<Reply, Answer>): void {
  sendJson(response, status, { type: "error", error: { type: error, message } });
}

function sendJson(response: ServerResponse, status: number, body: unknown): void {
  // Without `x-should-retry: false` Claude Code repeats a failed request for minutes.
  response.writeHead(status, { "content-type": "application/json", "x-should-retry": "false" });
  response.end(JSON.stringify(body));
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString("utf8");
}
