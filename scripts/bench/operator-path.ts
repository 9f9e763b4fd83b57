import { type ChildProcess, execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { tree } from "./cpu.ts";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const CODEZ = join(REPOSITORY, "scripts/codez/bin.js");
const run = promisify(execFile);

/** A whole Operator of its own with one machine, as `npm start`, `codez setup` and `codez connect` make it. */
export type RunningOperator = {
  url: string;
  pids: () => number[];
  connectorPids: () => number[];
  /** Registers so many machines more, without anything running behind them. */
  register(count: number): Promise<void>;
  stop(): Promise<void>;
};

export async function startOperatorPath(serverUrl: string): Promise<RunningOperator> {
  const home = await mkdtemp(join(tmpdir(), "operator-bench-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const env = { ...process.env, OPERATOR_STATE: join(home, "state"), CODEZ_HOME: join(home, "codez"), CODEZ_HUB: url };
  const start = join(REPOSITORY, "scripts/local/start.ts");
  const operator = spawn(process.execPath, [start, "--port", String(port)], {
    cwd: REPOSITORY,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await until(async () => (await fetch(`${url}/api/health`)).ok);
  await run(process.execPath, [CODEZ, "setup", "bench", "--hub", url, "--url", serverUrl], { env });
  const connector: ChildProcess = spawn(process.execPath, [CODEZ, "connect", "bench"], { env, stdio: "ignore" });
  await until(async () => {
    const machine = (await (await fetch(`${url}/api/machines/bench`)).json()) as { status: string };
    return machine.status === "online";
  });
  return {
    url,
    pids: () => tree(operator.pid ?? 0),
    connectorPids: () => tree(connector.pid ?? 0),
    async register(count) {
      for (let n = 0; n < count; n += 1) {
        const body = JSON.stringify({ name: `more-${n}`, identity: `identity-of-machine-${n}` });
        const response = await fetch(`${url}/api/machines`, {
          method: "POST",
          headers: { "content-type": "application/json" },
          body,
        });
        if (!response.ok) throw new Error(`machine ${n} could not be registered: HTTP ${response.status}`);
      }
    },
    async stop() {
      const ended = [operator, connector].map((child) => new Promise((resolve) => child.once("exit", resolve)));
      connector.kill();
      operator.kill();
      await Promise.all(ended);
      await rm(home, { recursive: true, force: true });
    },
  };
}

/** A start takes seconds; what takes longer than this has failed. */
const START_TIMEOUT_MS = 120_000;

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const giveUp = Date.now() + START_TIMEOUT_MS;
  while (!(await isSo().catch(() => false))) {
    if (Date.now() > giveUp) throw new Error("Operator did not come up");
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === "string") throw new Error("no port");
  return address.port;
}
