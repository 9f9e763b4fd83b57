import { type ChildProcess, execFile, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { operatorFile } from "../system/operators-folder.ts";
import { isWorkerd, tree } from "./processes.ts";
import type { Profiler } from "./profile.ts";
import { freePort } from "../system/ports.ts";

const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
const CODEZ = join(REPOSITORY, "scripts/codez/bin.js");
const run = promisify(execFile);

/** A complete, separate Operator with one machine, as `npm start`, `codez setup` and `codez connect` make it. */
export type RunningOperator = AsyncDisposable & {
  url: string;
  /** Headers with which a client authenticates. */
  headers: Record<string, string>;
  /** All it runs: the workerd of the public gate, the workerd of the machine's script, the Node process around them, the connector. */
  processes: () => Record<"gate" | "script" | "node" | "connector", number[]>;
  /** Registers the given number of further machines, which have no connector. */
  register(count: number): Promise<void>;
};

/** @param profiler when given, everything is started so that its CPU can be profiled. */
export async function startOperatorPath(serverUrl: string, profiler: Profiler | null): Promise<RunningOperator> {
  await using started = new AsyncDisposableStack();
  const home = await mkdtemp(join(tmpdir(), "operator-bench-"));
  started.defer(() => rm(home, { recursive: true, force: true }));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const state = { OPERATOR_STATE: join(home, "state"), CODEZ_HOME: join(home, "codez"), CODEZ_HUB: url };
  const env = { ...process.env, ...state, ...profiler?.environment };
  const start = join(REPOSITORY, "scripts/local/start.ts");
  const operator = spawn(process.execPath, [start, "--port", String(port)], {
    cwd: REPOSITORY,
    env,
    stdio: ["ignore", "ignore", "inherit"],
  });
  started.defer(() => end(operator));
  const workerds = (): number[] => tree(operator.pid ?? 0).filter(isWorkerd);
  let token = "";
  await until(async () => {
    // Written at the start, for other programs of the same user. The gate may answer a moment earlier.
    token = readFileSync(operatorFile(url, "token", state.CODEZ_HOME) ?? "", "utf8").trim();
    return (await fetch(`${url}/api/health`)).ok;
  });
  const headers = { authorization: `Bearer ${token}` };
  const gate = new Set(workerds()); // the machine's script is started later, by `setup`
  await run(process.execPath, [CODEZ, "setup", "bench", "--hub", url, "--url", serverUrl], { env });
  const connector = spawn(process.execPath, [...(profiler?.nodeArguments ?? []), CODEZ, "connect", "bench"], {
    env,
    stdio: "ignore",
  });
  started.defer(() => end(connector));
  await until(async () => {
    const machine = (await (await fetch(`${url}/api/machines/bench`, { headers })).json()) as { status: string };
    return machine.status === "online";
  });
  const running = started.move();
  return {
    url,
    headers,
    processes() {
      const all = tree(operator.pid ?? 0);
      return {
        gate: all.filter((pid) => gate.has(pid)),
        script: workerds().filter((pid) => !gate.has(pid)),
        node: all.filter((pid) => !isWorkerd(pid)),
        connector: tree(connector.pid ?? 0),
      };
    },
    async register(count) {
      for (let n = 0; n < count; n += 1) {
        const body = JSON.stringify({ name: `more-${n}`, identity: `identity-of-machine-${n}` });
        const response = await fetch(`${url}/api/machines`, {
          method: "POST",
          headers: { ...headers, "content-type": "application/json" },
          body,
        });
        if (!response.ok) throw new Error(`machine ${n} could not be registered: HTTP ${response.status}`);
      }
    },
    [Symbol.asyncDispose]: () => running.disposeAsync(),
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null) return;
  const ended = new Promise((resolve) => child.once("exit", resolve));
  child.kill();
  await ended;
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
