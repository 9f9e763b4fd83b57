import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { FaultProxy } from "./fault-proxy.ts";
import type { Ledger } from "./ledger.ts";
import type { OperatorProcess } from "./operator-process.ts";
import { ToolServer } from "./tool-server.ts";

const CODEZ = fileURLToPath(new URL("../codez/bin.js", import.meta.url));
const run = promisify(execFile);

/** Characters of a connector's output that are kept. */
const WORDS = 4_000;

export type MachineOptions = {
  readonly name: string;
  readonly folder: string;
  readonly operator: OperatorProcess;
  readonly ledger: Ledger;
  readonly say: (line: string) => void;
};

/** A machine: its own MCP server, `codez setup`, and a `codez connect` process that dials through a proxy full of faults. */
export class MachineProcess {
  readonly name: string;
  readonly server: ToolServer;
  readonly proxy: FaultProxy;
  readonly #options: MachineOptions;
  readonly #env: NodeJS.ProcessEnv;
  #child: ChildProcess | null = null;
  /** Exit code of `codez connect` if it ended by itself. */
  exitCode: number | null = null;
  /** What the present `codez connect` has printed, or its end. */
  lastWords = "";

  constructor(options: MachineOptions) {
    const { name, folder, operator, ledger } = options;
    this.name = name;
    this.#options = options;
    this.server = new ToolServer(name, ledger);
    this.proxy = new FaultProxy(operator.port);
    this.#env = {
      ...process.env,
      ...operator.credentials,
      CODEZ_HOME: join(folder, name),
      CODEZ_HUB: operator.url,
    };
  }

  get pid(): number | null {
    return this.#child?.pid ?? null;
  }

  /** The file with its name, its link's address and its token. */
  get profilePath(): string {
    return join(this.#options.folder, this.name, "machines", `${this.name}.json`);
  }

  async setUp(): Promise<void> {
    const url = await this.server.start();
    const proxyPort = await this.proxy.start();
    await run(process.execPath, [CODEZ, "setup", this.name, "--url", url], { env: this.#env });
    // From now on it dials through the proxy.
    const file = this.profilePath;
    const profile = JSON.parse(await readFile(file, "utf8")) as { linkUrl: string };
    const link = new URL(profile.linkUrl);
    link.port = String(proxyPort);
    await writeFile(file, JSON.stringify({ ...profile, linkUrl: link.href }), { mode: 0o600 });
  }

  connect(): void {
    const child = spawn(process.execPath, [CODEZ, "connect", this.name], {
      env: this.#env,
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [child.stdout, child.stderr])
      stream?.setEncoding("utf8").on("data", (text: string) => {
        this.lastWords = `${this.lastWords}${text}`.slice(-WORDS);
        this.#options.say(`${this.name}: ${text}`);
      });
    this.exitCode = null;
    this.lastWords = "";
    child.on("exit", (code) => {
      if (this.#child === child) this.exitCode = code ?? -1;
    });
    this.#child = child;
  }

  /** `kill -9` of the connector. */
  kill(): void {
    const child = this.#child;
    this.#child = null;
    child?.kill("SIGKILL");
  }

  stop(): void {
    this.#child?.kill("SIGTERM");
    this.#child = null;
    this.proxy.stop();
    this.server.stop();
  }
}
