import { Agent, type IncomingMessage, request } from "node:http";
import { isEventStream } from "#protocol/header.ts";

/** One path to the reference server: the URL to post to, and the form of a call there. */
export type Path = {
  readonly name: string;
  readonly url: string;
  /** Sent with every call, such as a session's id. */
  readonly headers?: Record<string, string>;
  /** How a request gets its answer if the path does not use Streamable HTTP. */
  readonly ask?: (agent: Agent, request: RpcRequest) => Promise<RpcAnswer>;
  /** The `params` of `tools/call` that reach the reference server's tool. */
  readonly params: (tool: string, args: Record<string, unknown>) => Record<string, unknown>;
  /** The processes whose CPU time is counted for this path, by name, without the client and the server. */
  readonly processes: () => Record<string, readonly number[]>;
};

export type RpcRequest = { id: number; method: string; params?: object };
export type RpcAnswer = { id?: number; result?: { content?: { text?: string }[] } };

/** What a run of calls showed. Times in milliseconds. */
export type Sample = { p50Ms: number; p99Ms: number; perSecond: number };

let nextId = 1;

/** One call of one of the reference server's tools. Rejects when the answer isn't the expected one. */
export async function call(
  agent: Agent,
  path: Path,
  tool: string,
  args: Record<string, unknown>,
  expected: string,
): Promise<void> {
  const message = { id: nextId++, method: "tools/call", params: path.params(tool, args) };
  const answer = await (path.ask?.(agent, message) ?? ask(agent, path, message));
  if (answer.result?.content?.[0]?.text !== expected)
    throw new Error(`${path.name}: wrong answer: ${JSON.stringify(answer).slice(0, 300)}`);
}

/** The answer to one request, by Streamable HTTP. */
export async function ask(agent: Agent, path: Path, message: RpcRequest): Promise<RpcAnswer> {
  const response = await post(agent, path, message);
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const text = Buffer.concat(chunks).toString();
  const type = response.headers["content-type"] ?? "";
  const answer = response.statusCode === 200 ? answerIn(text, type, message.id) : undefined;
  if (answer === undefined) throw new Error(`${path.name}: HTTP ${response.statusCode}: ${text.slice(0, 300)}`);
  return answer;
}

/** Milliseconds from a call to its first progress notification. */
export async function timeToProgress(agent: Agent, path: Path): Promise<number> {
  const id = nextId++;
  const params = { ...path.params("progress", {}), _meta: { progressToken: `p${id}` } };
  const begin = performance.now();
  const response = await post(agent, path, { id, method: "tools/call", params });
  let text = "";
  let first: number | null = null;
  for await (const chunk of response) {
    text += String(chunk);
    if (text.includes("notifications/progress")) first ??= performance.now() - begin;
  }
  if (first === null || !text.includes("done")) throw new Error(`${path.name}: no progress: ${text.slice(0, 300)}`);
  return first;
}

/** Posts one JSON-RPC message; resolves with the response's head. */
export function post(
  agent: Agent,
  { url, headers = {} }: Pick<Path, "url" | "headers">,
  message: object,
): Promise<IncomingMessage> {
  const body = JSON.stringify({ jsonrpc: "2.0", ...message });
  const all = {
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
    "mcp-protocol-version": "2025-11-25",
    "content-length": Buffer.byteLength(body),
    ...headers,
  };
  return new Promise((resolve, reject) => {
    request(url, { method: "POST", agent, headers: all }, resolve).on("error", reject).end(body);
  });
}

/**
 * Runs `work` with separate connections, which are closed at the end. A connection that was kept for the next run would be
 * idle while other paths are measured, and its server might close it just as the next call is sent.
 */
export async function withConnections<Result>(work: (agent: Agent) => Promise<Result>): Promise<Result> {
  const agent = new Agent({ keepAlive: true });
  try {
    return await work(agent);
  } finally {
    agent.destroy();
  }
}

/** Calls `work` `calls` times, `concurrency` at once. */
export async function measure(
  concurrency: number,
  calls: number,
  work: (n: number) => Promise<unknown>,
): Promise<Sample> {
  const times: number[] = [];
  let next = 0;
  const begin = performance.now();
  const lane = async (): Promise<void> => {
    while (next < calls) {
      const n = next++;
      const from = performance.now();
      await work(n);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: concurrency }, lane));
  const seconds = (performance.now() - begin) / 1000;
  times.sort((one, other) => one - other);
  const at = (share: number): number => times[Math.min(times.length - 1, Math.floor(times.length * share))] ?? 0;
  return { p50Ms: at(0.5), p99Ms: at(0.99), perSecond: calls / seconds };
}

/** The answer to request `id` in a JSON or event-stream body. */
function answerIn(body: string, contentType: string, id: number): RpcAnswer | undefined {
  const lines = isEventStream(contentType)
    ? body.split("\n").flatMap((line) => (line.startsWith("data:") ? [line.slice(5)] : []))
    : [body];
  return lines
    .filter((line) => line.trim() !== "")
    .map((line) => JSON.parse(line) as RpcAnswer)
    .find((message) => message.id === id);
}
