import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { operatorFile } from "../system/operators-folder.ts";
import { eventually } from "./eventually.ts";
import { isRunning, type Process, signal, tree } from "./processes.ts";
import { Ports } from "../system/ports.ts";

const START = fileURLToPath(new URL("../local/start.ts", import.meta.url));

/** A cold start bundles the Workers while the campaign keeps the computer busy. */
const START_LIMIT_MS = 60_000;

const STOP_LIMIT_MS = 15_000;

/** How long its child processes may take to end after the parent was killed. */
const ORPHAN_LIMIT_MS = 5_000;

export type OperatorOptions = { readonly folder: string; readonly say: (line: string) => void };

/** A complete Operator as `npm start` runs it, in separate processes that can be killed and started again. */
export class OperatorProcess {
  readonly #options: OperatorOptions;
  #child: ChildProcess | null = null;
  #port = 0;
  /** All of its processes seen so far. Orphans can only be found this way, because they no longer have a parent in common. */
  readonly #seen = new Map<string, Process>();

  constructor(options: OperatorOptions) {
    this.#options = options;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  get port(): number {
    return this.#port;
  }

  /** Headers with which a client authenticates. */
  get headers(): Record<string, string> {
    return { authorization: `Bearer ${this.#ownerToken}` };
  }

  /** Headers of an MCP request. */
  get mcpHeaders(): Record<string, string> {
    return {
      ...this.headers,
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
    };
  }

  /** Environment variables with which `codez` authenticates. */
  get credentials(): NodeJS.ProcessEnv {
    return { CODEZ_HUB_TOKEN: this.#ownerToken };
  }

  /** The owner's token, read from the file that Operator writes for the owner's own programs. */
  get #ownerToken(): string {
    return readFileSync(operatorFile(this.url, "token", this.#home) ?? "", "utf8").trim();
  }

  /** CODEZ_HOME for this Operator, so that it writes no token into the home folder of the user who runs the campaign. */
  get #home(): string {
    return join(this.#options.folder, "owner");
  }

  get stateFolder(): string {
    return join(this.#options.folder, "state");
  }

  get processes(): Process[] {
    this.#remember();
    for (const [key, one] of this.#seen) if (!isRunning(one)) this.#seen.delete(key);
    return [...this.#seen.values()];
  }

  /** Starts it with the same port and state as before. @throws Error with its last output if it does not start */
  async start(): Promise<void> {
    if (this.#port === 0) this.#port = await new Ports().take();
    const words: string[] = [];
    const child = spawn(process.execPath, [START, "--port", String(this.#port)], {
      env: { ...process.env, OPERATOR_STATE: this.stateFolder, CODEZ_HOME: this.#home },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        words.push(text);
        this.#options.say(text);
      });
    this.#child = child;
    const seconds = await eventually(START_LIMIT_MS, async () => {
      if (child.exitCode !== null) return true;
      return (await fetch(`${this.url}/api/health`, { signal: AbortSignal.timeout(2_000) })).ok;
    });
    if (seconds === null || child.exitCode !== null)
      throw new Error(`Operator did not start: ${words.join("").slice(-2_000)}`);
  }

  /** Stops it with SIGTERM. Returns the processes that it left running. */
  async stop(): Promise<Process[]> {
    return this.#end("SIGTERM", STOP_LIMIT_MS);
  }

  /** Kills only the `npm start` process with SIGKILL. Returns the processes that survived it. */
  async kill(): Promise<Process[]> {
    return this.#end("SIGKILL", ORPHAN_LIMIT_MS);
  }

  #remember(): void {
    const pid = this.#child?.pid;
    if (pid === undefined) return;
    for (const one of tree(pid)) this.#seen.set(`${one.pid} ${one.startTicks}`, one);
  }

  async #end(how: NodeJS.Signals, limitMs: number): Promise<Process[]> {
    this.#remember();
    this.#child?.kill(how);
    this.#child = null;
    await eventually(limitMs, () => this.processes.length === 0);
    const left = this.processes;
    for (const { pid } of left) signal(pid, "SIGKILL");
    return left;
  }
}
