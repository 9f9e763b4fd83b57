import { Agent, request } from "node:http";

/** What a run of calls showed. Times in milliseconds. */
export type Sample = { p50Ms: number; p99Ms: number; perSecond: number };

/** One way to the reference server: where to post, and what a call looks like there. */
export type Path = {
  readonly name: string;
  readonly url: string;
  /** The `params` of `tools/call` that reach the reference server's tool. */
  readonly params: (tool: string, args: Record<string, unknown>) => Record<string, unknown>;
  /** Processes whose CPU is this path's own, without the client's and the server's. */
  readonly pids: () => number[];
};

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
let nextId = 1;

/** One `tools/call`, its answer checked. Throws when it isn't the expected one. */
export function call(path: Path, tool: string, args: Record<string, unknown>, expected: string): Promise<void> {
  const id = nextId++;
  const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params: path.params(tool, args) });
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
      "content-length": Buffer.byteLength(body),
    };
    const outgoing = request(path.url, { method: "POST", agent, headers }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("end", () => {
        const text = Buffer.concat(chunks).toString();
        const isRight =
          response.statusCode === 200 && textIn(text, response.headers["content-type"] ?? "", id) === expected;
        if (isRight) resolve();
        else reject(new Error(`${path.name}: wrong answer, HTTP ${response.statusCode}: ${text.slice(0, 300)}`));
      });
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Milliseconds from the call to its first progress notification. */
export function timeToProgress(path: Path): Promise<number> {
  const id = nextId++;
  const params = { ...path.params("progress", {}), _meta: { progressToken: `p${id}` } };
  const body = JSON.stringify({ jsonrpc: "2.0", id, method: "tools/call", params });
  const begin = performance.now();
  return new Promise((resolve, reject) => {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
    };
    const outgoing = request(path.url, { method: "POST", agent, headers }, (response) => {
      let text = "";
      let first = 0;
      response.on("data", (chunk: Buffer) => {
        text += chunk.toString();
        if (first === 0 && text.includes("notifications/progress")) first = performance.now() - begin;
      });
      response.on("error", reject);
      response.on("end", () =>
        first > 0 && text.includes("done")
          ? resolve(first)
          : reject(new Error(`${path.name}: no progress: ${text.slice(0, 300)}`)),
      );
    });
    outgoing.on("error", reject);
    outgoing.end(body);
  });
}

/** Calls `work` so many times, `concurrency` at once. */
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

function textIn(body: string, contentType: string, id: number): string | undefined {
  const lines = contentType.startsWith("text/event-stream")
    ? body.split("\n").flatMap((line) => (line.startsWith("data: ") ? [line.slice(6)] : []))
    : [body];
  for (const line of lines) {
    const message = JSON.parse(line) as { id?: number; result?: { content?: { text?: string }[] } };
    if (message.id === id) return message.result?.content?.[0]?.text;
  }
  return undefined;
}
