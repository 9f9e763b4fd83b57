import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { build } from "esbuild";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { generateHistory } from "./serve-history.ts";

/**
 * `npm run bench:serve`: codez serve over a generated history of 2,000 sessions and 1 GB. Prints how long the first
 * indexing takes and what else answers meanwhile, then each reading tool (every answer is checked), then memory at rest
 * and with ten live sessions of the Claude Code that is given in CLAUDE (or found on the PATH).
 */
const SESSIONS = Number(process.env["BENCH_SESSIONS"] ?? 2_000);
const BYTES = Number(process.env["BENCH_BYTES"] ?? 1_000_000_000);
const LIVE = 10;
const ROUNDS = 50;

/** After a start all files are looked at once. */
const SETTLE_MS = 5_000;

/** As it is shipped: one file. Run from its sources, Node's own compiler would be most of the memory. */
const ENTRY = fileURLToPath(new URL("serve-process.ts", import.meta.url));

/** Some of what is bundled is CommonJS and asks for Node's modules by `require`. */
const BANNER = `import { createRequire } from "node:module"; const require = createRequire(import.meta.url);`;

type Answer = Record<string, unknown>;

const root = mkdtempSync(join(tmpdir(), "bench-serve-"));
try {
  await bench();
} finally {
  rmSync(root, { recursive: true, force: true });
}

async function bench(): Promise<void> {
  const projects = join(root, ".claude", "projects");
  const made = generateHistory(projects, { sessions: SESSIONS, bytes: BYTES });
  console.log(`history: ${made.sessions} sessions, ${made.projects} projects, ${(made.bytes / 1e9).toFixed(2)} GB`);
  const model = await startModel();
  const live = join(root, "src", "live");
  mkdirSync(join(live, ".git"), { recursive: true });
  mkdirSync(join(root, ".codez"), { recursive: true });
  const claude = process.env["CLAUDE"] ?? "claude";
  const config = { port: 0, projects: [join(root, "src")], maxLiveSessions: LIVE, claude };
  writeFileSync(join(root, ".codez", "serve.json"), JSON.stringify(config));
  const bundle = join(root, "codez.mjs");
  const banner = { js: BANNER };
  await build({ entryPoints: [ENTRY], bundle: true, platform: "node", format: "esm", outfile: bundle, banner });
  try {
    await withServe(bundle, model.url, (serve) => measure(serve, join(root, ".codez"), made.slug, made.session, live));
    await withServe(bundle, model.url, async (serve) => {
      await urlOf(serve);
      await sleep(SETTLE_MS);
      console.log(`memory of serve at rest, started with its index there: ${memoryOf(serve)}`);
    });
  } finally {
    model.close();
  }
}

async function withServe(bundle: string, model: string, work: (serve: ChildProcess) => Promise<void>): Promise<void> {
  const serve = spawn(process.execPath, [bundle, "serve"], {
    env: environment(model),
    stdio: ["ignore", "pipe", "inherit"],
  });
  try {
    await work(serve);
  } finally {
    const exited = once(serve, "exit");
    serve.kill("SIGTERM");
    await exited;
  }
}

async function measure(
  serve: ChildProcess,
  codezHome: string,
  slug: string,
  session: string,
  live: string,
): Promise<void> {
  const startedAtMs = performance.now();
  const url = await urlOf(serve);
  const client = new Client({ name: "bench", version: "1" }, { versionNegotiation: { mode: "auto" } });
  const token = readFileSync(join(codezHome, "serve", "token"), "utf8").trim();
  const requestInit = { headers: { authorization: `Bearer ${token}` } };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit }));
  const call = async (name: string, input: Answer = {}) => {
    const result = await client.callTool({ name, arguments: input });
    if (result.isError === true) throw new Error(JSON.stringify(result.structuredContent));
    return result.structuredContent as Answer;
  };
  console.log(`start to first answer: ${Math.round(performance.now() - startedAtMs)} ms`);

  const meanwhile: number[] = [];
  for (;;) {
    const fromMs = performance.now();
    await call("get_health");
    meanwhile.push(performance.now() - fromMs);
    const { index } = (await call("get_health_details")) as {
      index: { isComplete: boolean; bytesBehind: number } | null;
    };
    if (index?.isComplete === true && index.bytesBehind === 0) break;
    await sleep(100);
  }
  const seconds = (performance.now() - startedAtMs) / 1_000;
  console.log(`first indexing: ${seconds.toFixed(1)} s (${Math.round(BYTES / 1e6 / seconds)} MB/s)`);
  console.log(`get_health while indexing: ${summary(meanwhile)}`);
  console.log(`index on disk: ${(statSync(join(root, ".codez", "serve", "index.db")).size / 1e6).toFixed(0)} MB`);

  const has = (answer: Answer, what: string) => JSON.stringify(answer).includes(what);
  await time("list_projects", async () => has(await call("list_projects"), slug));
  await time("list_sessions (100 of a project)", async () => has(await call("list_sessions", { slug }), "session_id"));
  await time("get_session (newest page)", async () =>
    has(await call("get_session", { session_id: session, slug }), "parts"),
  );
  await time("search, a rare word", async () =>
    has(await call("search_sessions", { query: "needle777" }), "needle777"),
  );
  await time("search, two words", async () =>
    has(await call("search_sessions", { query: "parser latency" }), "session_id"),
  );
  await time(
    "search, a word in every message",
    async () => has(await call("search_sessions", { query: "the" }), "session_id"),
    5,
  );
  await time("get_observability", async () => has(await call("get_observability"), "cost_usd"), 10);
  await time("poll_events (nothing new)", async () => has(await call("poll_events"), "cursor"));

  console.log(`memory of serve at rest: ${memoryOf(serve)}; CPU at rest: ${await cpuOf(serve)}`);
  const ids: unknown[] = [];
  for (let index = 0; index < LIVE; index += 1) {
    const { session_id: id } = await call("create_session", { slug: "-", cwd: live });
    await call("send_and_wait", { session_id: id, text: "hello", slug: "-" });
    ids.push(id);
  }
  console.log(`memory of serve with ${ids.length} live sessions: ${memoryOf(serve)}`);
  await client.close();
}

async function time(name: string, work: () => Promise<boolean>, rounds = ROUNDS): Promise<void> {
  const taken: number[] = [];
  for (let round = 0; round < rounds; round += 1) {
    const fromMs = performance.now();
    if (!(await work())) throw new Error(`${name}: a wrong answer`);
    taken.push(performance.now() - fromMs);
  }
  console.log(`${name}: ${summary(taken)}`);
}

function summary(taken: readonly number[]): string {
  const sorted = [...taken].sort((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

/** Of Linux; elsewhere unknown. */
function memoryOf({ pid }: ChildProcess): string {
  if (process.platform !== "linux") return "unknown";
  const line = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  return `${Math.round(Number(line) / 1024)} MB`;
}

async function cpuOf({ pid }: ChildProcess): Promise<string> {
  if (process.platform !== "linux") return "unknown";
  const ticks = () => {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1]?.split(" ") ?? [];
    return Number(fields[11]) + Number(fields[12]);
  };
  const before = ticks();
  await sleep(10_000);
  return `${((ticks() - before) / 10).toFixed(1)} %`;
}

async function urlOf(serve: ChildProcess): Promise<string> {
  let output = "";
  serve.stdout?.on("data", (chunk) => (output += String(chunk)));
  for (;;) {
    const url = /http:\S+\/mcp/.exec(output)?.[0];
    if (url !== undefined) return url;
    if (serve.exitCode !== null) throw new Error(`serve ended: ${output}`);
    await sleep(10);
  }
}

function environment(model: string): NodeJS.ProcessEnv {
  return {
    PATH: process.env["PATH"],
    HOME: root,
    CODEZ_HOME: join(root, ".codez"),
    CLAUDE_CONFIG_DIR: join(root, ".claude"),
    ANTHROPIC_BASE_URL: model,
    ANTHROPIC_API_KEY: "sk-bench",
    DISABLE_AUTOUPDATER: "1",
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
  };
}

/** The least that ends a turn: one word, streamed. */
async function startModel(): Promise<{ url: string; close(): void }> {
  const usage = { input_tokens: 1, output_tokens: 1 };
  const message = {
    id: "msg_1",
    type: "message",
    role: "assistant",
    model: "m",
    content: [],
    stop_reason: null,
    usage,
  };
  const events = [
    { type: "message_start", message },
    { type: "content_block_start", index: 0, content_block: { type: "text", text: "" } },
    { type: "content_block_delta", index: 0, delta: { type: "text_delta", text: "hello" } },
    { type: "content_block_stop", index: 0 },
    { type: "message_delta", delta: { stop_reason: "end_turn", stop_sequence: null }, usage },
    { type: "message_stop" },
  ];
  const body = events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
  const server = createServer((request, response) => {
    request.resume();
    request.on("end", () => response.writeHead(200, { "content-type": "text/event-stream" }).end(body));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("a TCP server has a port");
  return { url: `http://127.0.0.1:${address.port}`, close: () => void server.close() };
}
