import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { buildCodez } from "../../../../scripts/build/codez.ts";
import { peerBin } from "../../../peers/bin.ts";
import { startMessagesApi, type MessagesApi, type Script } from "../../../peers/messages-api.ts";
import { sameCompileCache } from "../../../support/compile-cache.ts";

/** Whatever a test waits for happens in a second; on a loaded machine in a few. */
const PATIENCE_MS = 60_000;

/** The launcher with the bundle beside it, as it ships. Serve and its index thread would load the sources module by module, each for itself. */
export const CODEZ = fileURLToPath(new URL("../../../../scripts/codez/bin.js", import.meta.url));

/** Once in each process of tests. */
let isBuilt: Promise<void> | null = null;

/** Both revisions of MCP; `versionNegotiation` is how the SDK's client finds the newer one. */
export const ERAS = [
  { era: "2025-11-25", options: {} },
  { era: "2026-07-28", options: { versionNegotiation: { mode: "auto" as const } } },
];

export type Answer = Record<string, unknown>;

interface Options {
  readonly config?: Answer;
  readonly script?: Script;
  readonly repos?: readonly string[];
  /** Of `codez`, besides what every test has. */
  readonly env?: Record<string, string>;
}

/** A computer of its own: a home folder, repositories, the real Claude Code, and a stand-in for the model's API. */
export class TestMachine implements AsyncDisposable {
  readonly home: string;
  readonly api: MessagesApi;
  readonly env: Record<string, string>;
  url = "";
  #serve: ChildProcess | null = null;
  #output = "";
  readonly #others: ChildProcess[] = [];

  private constructor(api: MessagesApi, env: Record<string, string>) {
    this.api = api;
    this.home = realpathSync(mkdtempSync(join(tmpdir(), "codez-serve-")));
    this.env = {
      PATH: process.env["PATH"] ?? "",
      HOME: this.home,
      CODEZ_HOME: join(this.home, ".codez"),
      CLAUDE_CONFIG_DIR: join(this.home, ".claude"),
      ANTHROPIC_BASE_URL: api.url,
      ANTHROPIC_API_KEY: "sk-test",
      DISABLE_AUTOUPDATER: "1",
      CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
      NODE_NO_WARNINGS: "1",
      ...sameCompileCache(),
      ...env,
    };
  }

  static async start(options: Options = {}): Promise<TestMachine> {
    await (isBuilt ??= buildCodez());
    const machine = new TestMachine(await startMessagesApi(options.script), options.env ?? {});
    for (const name of options.repos ?? ["repo"]) machine.repo(name);
    machine.configure(options.config ?? {});
    await machine.serve();
    return machine;
  }

  /** The folder of a git repository below `~/src`, made if need be. */
  repo(name: string): string {
    const folder = join(this.home, "src", name);
    mkdirSync(join(folder, ".git", "refs"), { recursive: true });
    mkdirSync(join(folder, ".git", "objects"), { recursive: true });
    writeFileSync(join(folder, ".git", "HEAD"), "ref: refs/heads/main\n");
    writeFileSync(join(folder, ".git", "config"), `[remote "origin"]\n\turl = https://me:secret@git.example/${name}\n`);
    return folder;
  }

  slug(name: string): string {
    return this.repo(name).replaceAll(/[^a-zA-Z0-9]/g, "-");
  }

  configure(config: Answer): void {
    mkdirSync(join(this.home, ".codez"), { recursive: true });
    const whole = { port: 0, claude: peerBin("claude"), projects: ["~/src"], ...config };
    const path = join(this.home, ".codez", "serve.json");
    writeFileSync(path, JSON.stringify(whole).replaceAll('"~/', `"${this.home}/`));
  }

  /** Starts `codez serve`, again if it was stopped. */
  async serve(): Promise<void> {
    this.#output = "";
    const serve = spawn(process.execPath, [CODEZ, "serve"], { env: this.env, stdio: ["ignore", "pipe", "pipe"] });
    this.#serve = serve;
    for (const stream of [serve.stdout, serve.stderr]) {
      stream.setEncoding("utf8").on("data", (text: string) => (this.#output += text));
    }
    const url = await until("serve to say its URL", () => {
      if (serve.exitCode !== null) throw new Error(`serve ended: ${this.#output}`);
      return /http:\/\/127\.0\.0\.1:\d+\/mcp/.exec(this.#output)?.[0];
    });
    this.url = url;
  }

  get output(): string {
    return this.#output;
  }

  get pid(): number {
    return this.#serve?.pid ?? 0;
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const serve = this.#serve;
    if (serve === null || serve.exitCode !== null || serve.signalCode !== null) return;
    const exited = once(serve, "exit");
    serve.kill(signal);
    await exited;
  }

  /** The token that every client of serve must send. */
  get authorization(): { authorization: string } {
    const token = readFileSync(join(this.home, ".codez", "serve", "token"), "utf8").trim();
    return { authorization: `Bearer ${token}` };
  }

  async connect(options: (typeof ERAS)[number]["options"] = {}, name = "test"): Promise<TestClient> {
    const client = new Client({ name, version: "1" }, options);
    await client.connect(
      new StreamableHTTPClientTransport(new URL(this.url), { requestInit: { headers: this.authorization } }),
    );
    return new TestClient(client);
  }

  /** Runs a `codez` command at the machine. */
  async codez(...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
    return new Promise((resolve) => {
      execFile(process.execPath, [CODEZ, ...args], { env: this.env }, (error, stdout, stderr) => {
        resolve({ code: typeof error?.code === "number" ? error.code : 0, stdout, stderr });
      });
    });
  }

  /** Somebody's own Claude Code in a terminal of this machine; ends with the machine. */
  terminal(folder: string, ...args: string[]): ChildProcess {
    const stream = ["--print", "--input-format", "stream-json", "--output-format", "stream-json", "--verbose"];
    const claude = spawn(peerBin("claude"), [...stream, ...args], { cwd: folder, env: this.env, stdio: "pipe" });
    claude.stdout.resume();
    claude.stderr.resume();
    this.#others.push(claude);
    return claude;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const other of this.#others) {
      if (other.exitCode !== null || other.signalCode !== null) continue;
      const exited = once(other, "exit");
      other.kill("SIGKILL");
      await exited;
    }
    await this.stop();
    await this.api[Symbol.asyncDispose]();
    rmSync(this.home, { recursive: true, force: true, maxRetries: 5 });
  }
}

export class TestClient implements AsyncDisposable {
  readonly mcp: Client;

  constructor(mcp: Client) {
    this.mcp = mcp;
  }

  /** The structured answer of a tool that must not refuse. */
  async call(name: string, input: Answer = {}): Promise<Answer> {
    const result = await this.mcp.callTool({ name, arguments: input }, { timeout: PATIENCE_MS * 2 });
    if (result.isError === true) throw new Error(`${name}: ${JSON.stringify(result.structuredContent)}`);
    return result.structuredContent as Answer;
  }

  /** The error of a tool that must refuse. */
  async refused(name: string, input: Answer = {}): Promise<Answer> {
    const result = await this.mcp.callTool({ name, arguments: input });
    if (result.isError !== true) throw new Error(`${name} did not refuse: ${JSON.stringify(result.structuredContent)}`);
    return (result.structuredContent as { error: Answer }).error;
  }

  async create(cwd: string, more: Answer = {}): Promise<string> {
    return String((await this.call("create_session", { slug: "-", cwd, ...more }))["session_id"]);
  }

  /** Polls from a cursor until an event fits, and gives all events up to then. */
  async eventsUntil(fits: (event: Answer) => boolean, cursor: string, session?: string): Promise<Answer[]> {
    const seen: Answer[] = [];
    let from = cursor;
    return until("an event that fits", async () => {
      const page = await this.poll({ cursor: from, timeout_ms: 2_000, ...(session && { session_id: session }) });
      seen.push(...page.events);
      from = page.cursor;
      return seen.some(fits) ? seen : undefined;
    }).catch((error: unknown) => {
      throw new Error(`${String(error)}; seen: ${JSON.stringify(seen).slice(0, 4_000)}`);
    });
  }

  async poll(input: Answer): Promise<{ events: Answer[]; cursor: string; gap: boolean }> {
    return (await this.call("poll_events", input)) as { events: Answer[]; cursor: string; gap: boolean };
  }

  async now(): Promise<string> {
    return (await this.poll({ cursor: "now" })).cursor;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.mcp.close();
  }
}

/** Asks until there is an answer; fails after PATIENCE_MS. */
export async function until<T>(what: string, look: () => T | undefined | Promise<T | undefined>): Promise<T> {
  const giveUpAtMs = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined) return found;
    if (Date.now() > giveUpAtMs) throw new Error(`gave up waiting for ${what}`);
    await sleep(25);
  }
}

/** A model that runs what it is asked to: `bash <command>`, and otherwise repeats what it heard. */
export const obedient: Script = ({ prompt, results }) => {
  if (prompt.startsWith("bash ") && results.length === 0) {
    return {
      blocks: [{ text: "Running it." }, { tool: "Bash", input: { command: prompt.slice(5), description: "x" } }],
    };
  }
  return { blocks: [{ text: [`Heard: ${prompt}`, ...results.map(({ text }) => text)].join(" | ") }] };
};

export function typesOf(events: readonly Answer[]): unknown[] {
  return events.map((event) => event["type"]);
}
