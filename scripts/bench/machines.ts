import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseArgs } from "node:util";
import type { PushedEvent } from "#protocol/event.ts";
import { answerJson, Connector, EventSpool, machineFacts, type Target } from "../connector/index.ts";
import { type RunningOperator, startOperator } from "../local/operator.ts";
import { median } from "./rounds.ts";
import { figure, printTable, ratio } from "./table.ts";

/**
 * `npm run bench:machines [-- --machines 1000]`: what reading costs with many machines, how often a client polls during an answer of 8
 * seconds, and how long an event takes from a machine to a webhook. One Operator, as `npm start` has it, with one machine, then with all.
 */
const { values: options } = parseArgs({ options: { machines: { type: "string", default: "1000" } } });
const MACHINES = Number(options.machines);
const ROUNDS = 100;
const EVENTS = 50;

/** An answer as a coding agent writes it: a piece every 50 ms, a tool call in the middle, then the message and the end of the turn. */
const ANSWER_MS = 8_000;
const PIECE_MS = 50;

const TOOLS = ["list_machines", "poll_events", "list_sessions", "search_sessions"] as const;
const ARGUMENTS: Record<(typeof TOOLS)[number], object> = {
  list_machines: {},
  poll_events: { timeout_ms: 0 },
  list_sessions: {},
  search_sessions: { query: "answer" },
};

type Polled = {
  readonly events: { readonly type: string; readonly session: string | null }[];
  readonly cursor: string;
};

/** A coding machine that finds nothing. What is measured is the way to it. */
const target: Target = {
  serve({ body }, answer) {
    const { id, method } = JSON.parse(Buffer.from(body as Uint8Array).toString()) as { id?: unknown; method: string };
    if (id === undefined) {
      answer.head(202, []);
      return answer.end();
    }
    const hello = {
      protocolVersion: "2025-11-25",
      capabilities: { tools: {} },
      serverInfo: { name: "b", version: "1" },
    };
    const result = method === "initialize" ? hello : { content: [], structuredContent: { sessions: [] } };
    answerJson(answer, 200, { jsonrpc: "2.0", id, result });
  },
  close: () => Promise.resolve(),
};

await using started = new AsyncDisposableStack();
const folder = await mkdtemp(join(tmpdir(), "bench-machines-"));
started.defer(() => rm(folder, { recursive: true, force: true }));
const receiver = createServer();
receiver.listen(0, "127.0.0.1");
await once(receiver, "listening");
started.defer(() => void receiver.close());
const origin = `http://127.0.0.1:${(receiver.address() as AddressInfo).port}`;
const operator = await startOperator({
  stateDir: join(folder, "state"),
  port: 0,
  quiet: true,
  offline: true,
  vars: { WEBHOOK_ORIGINS: origin },
});
started.defer(() => operator.stop());
const headers = { authorization: `Bearer ${operator.ownerToken}`, "content-type": "application/json" };

const first = await machine(operator, "attic");
const polls = await pollAnAnswer(first);
const delays = await webhookDelays(first, receiver);
// After the events, so that both measurements read the same ones.
const alone = await measure();
for (let n = 1; n < MACHINES; n += 1) await register(`more-${n}`);
const among = await measure();
const load = loadavg()[0]?.toFixed(1) ?? "unknown";

printTable(`Reading with 1 machine and with ${MACHINES}, of which 1 is online; load ${load}`, ["1, ms", `${MACHINES}, ms`, "ratio", "1, KB", `${MACHINES}, KB`], TOOLS.map((tool) => {
  const [one, many] = [alone.get(tool), among.get(tool)];
  return [tool, figure(one?.ms, 2), figure(many?.ms, 2), ratio(many?.ms, one?.ms), figure((one?.bytes ?? 0) / 1024, 1), figure((many?.bytes ?? 0) / 1024, 1)];
})); // prettier-ignore
console.log(
  `\nAn answer of ${ANSWER_MS / 1000} s in ${ANSWER_MS / PIECE_MS} pieces: ${polls.polls} polls, ${polls.bytes} bytes of results`,
);
console.log(
  `From a machine to a webhook, ${EVENTS} events, ms: median ${median(delays)}, worst ${Math.max(...delays)}`,
);

/** The median time and size of an answer of each tool. They take turns, so that what else the computer does falls on all alike. */
async function measure(): Promise<Map<string, { ms: number; bytes: number }>> {
  const found = new Map<string, { ms: number[]; bytes: number }>(TOOLS.map((tool) => [tool, { ms: [], bytes: 0 }]));
  for (let round = 0; round < ROUNDS; round += 1)
    for (const tool of TOOLS) {
      const beganMs = performance.now();
      const { bytes } = await call(tool, ARGUMENTS[tool]);
      const one = found.get(tool);
      one?.ms.push(performance.now() - beganMs);
      if (one !== undefined) one.bytes = bytes;
    }
  return new Map([...found].map(([tool, { ms, bytes }]) => [tool, { ms: median(ms), bytes }]));
}

/** How often a client polls that reads an answer to its end. */
async function pollAnAnswer(attic: Machine): Promise<{ polls: number; bytes: number }> {
  let { cursor } = (await call("poll_events", { timeout_ms: 0 })).told as Polled;
  const speaking = speak(attic);
  let [count, size] = [0, 0];
  for (let isOver = false; !isOver; count += 1) {
    const { told, bytes } = await call("poll_events", { cursor, session_id: "attic/s-1" });
    const polled = told as Polled;
    isOver = polled.events.some(({ type }) => type === "session.idle");
    size += bytes;
    ({ cursor } = polled);
  }
  await speaking;
  return { polls: count, bytes: size };
}

async function speak({ push }: Machine): Promise<void> {
  push("message", { message_id: "u-1", role: "user", parts: [{ type: "text", text: "Explain this" }] });
  push("turn.started", { turn_id: "t-1" });
  for (let spokenMs = 0; spokenMs < ANSWER_MS; spokenMs += PIECE_MS) {
    push("message.delta", { message_id: "m-1", text: "some words " });
    await sleep(PIECE_MS);
  }
  push("message", { message_id: "m-1", role: "assistant", parts: [{ type: "text", text: "some words ".repeat(160) }] });
  push("session.idle", { turn_id: "t-1", outcome: "done", result: "some words", cost_usd: 0.01 });
}

/** From the connector to the webhook, in milliseconds, one event after the other. */
async function webhookDelays({ push }: Machine, server: Server): Promise<number[]> {
  const added = await fetch(`${operator.url}/api/webhooks`, {
    method: "POST",
    headers,
    body: JSON.stringify({ url: `${origin}/hook`, types: ["session.failed"] }),
  });
  if (!added.ok) throw new Error(`the webhook was not added: ${await added.text()}`);
  const measured: number[] = [];
  for (let count = 0; count < EVENTS; count += 1) {
    const sentMs = Date.now();
    const arrived = once(server, "request");
    push("session.error", { message: `failure ${count}` });
    const [request, response] = await arrived;
    measured.push(Date.now() - sentMs);
    request.resume();
    response.writeHead(204).end();
  }
  return measured;
}

type Machine = { readonly push: (type: string, data: Record<string, unknown>) => void };

/** A machine that is online, in this process. */
async function machine({ url }: RunningOperator, name: string): Promise<Machine> {
  const { linkUrl, token } = await register(name);
  const spool = new EventSpool(join(folder, `${name}.events`));
  const connector = new Connector({
    credentials: () => Promise.resolve({ linkUrl, token }),
    renamed: () => Promise.resolve(),
    facts: () => machineFacts("0.0.0"),
    target,
    spool,
  });
  const stopped = connector.run();
  started.defer(async () => {
    connector.stop("measured");
    await stopped;
  });
  for (;;) {
    const { status } = (await (await fetch(`${url}/api/machines/${name}`, { headers })).json()) as { status: string };
    if (status === "online") break;
    await sleep(200);
  }
  return {
    push(type, data) {
      spool.append([{ atMs: Date.now(), type, session: "s-1", data } satisfies PushedEvent]);
      connector.sendEvents();
    },
  };
}

async function register(name: string): Promise<{ linkUrl: string; token: string }> {
  const body = JSON.stringify({ name, identity: randomUUID() });
  const response = await fetch(`${operator.url}/api/machines`, { method: "POST", headers, body });
  if (!response.ok) throw new Error(`${name} was not registered: ${await response.text()}`);
  return (await response.json()) as { linkUrl: string; token: string };
}

async function call(name: string, args: object): Promise<{ told: unknown; bytes: number }> {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/call", params: { name, arguments: args } });
  const response = await fetch(`${operator.url}/mcp`, {
    method: "POST",
    headers: { ...headers, accept: "application/json, text/event-stream", "mcp-protocol-version": "2025-11-25" },
    body,
  });
  const text = await response.text();
  const json = text.startsWith("{") ? text : (text.split("\n").findLast((line) => line.startsWith("data: {")) ?? "").slice("data: ".length); // prettier-ignore
  const { result } = JSON.parse(json) as {
    result?: { isError?: boolean; structuredContent?: unknown; content: { text: string }[] };
  };
  if (result === undefined || result.isError === true) throw new Error(`${name} failed: ${text.slice(0, 500)}`);
  return { told: result.structuredContent, bytes: result.content[0]?.text.length ?? 0 };
}
