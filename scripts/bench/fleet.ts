import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Registration } from "#protocol/rest-api.ts";
import { Connector, emptySpool, HttpTarget, machineFacts } from "../connector/index.ts";
import { operatorFile } from "../system/operators-folder.ts";
import { freePort } from "../system/ports.ts";
import { pssOf } from "../system/proc.ts";
import { cpuMs, isWorkerd, tree } from "./processes.ts";

const HELP = `npm run bench:fleet [-- options]: the memory of an Operator with many machines, all connected and none called,
and the time of a start with all of them registered. Linux only. Read the figures together with the load that is printed.

  --machines <n>     (50)
  --operator <file>  the packed program's bin.js, instead of this repository
`;

const { values: options } = parseArgs({
  options: {
    machines: { type: "string", default: "50" },
    operator: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(HELP);
  process.exit();
}

/** What a script used while its machine was added is given back by then. */
const SETTLE_MS = 45_000;

/** A start and the return of every machine take seconds; what takes longer than this has failed. */
const LIMIT_MS = 180_000;

const START =
  options.operator === undefined
    ? ["--max-semi-space-size=1", fileURLToPath(new URL("../local/start.ts", import.meta.url))]
    : [options.operator, "start"];

await using ended = new AsyncDisposableStack();
const home = await mkdtemp(join(tmpdir(), "operator-fleet-"));
ended.defer(() => rm(home, { recursive: true, force: true }));
const stateDir = join(home, "state");
const codezHome = join(home, "codez");
const port = await freePort();
const url = `http://127.0.0.1:${port}`;

/** Answers every call at once. */
const server = createServer((request, response) => {
  request.resume().on("end", () => response.end("here"));
});
server.listen(0, "127.0.0.1");
await once(server, "listening");
ended.defer(() => void server.close());
const target = new URL(`http://127.0.0.1:${(server.address() as AddressInfo).port}/mcp`);

let operator = start();
ended.defer(() => end(operator));
await until(isHealthy);
/** The first workerd; those of the machines' scripts come later. */
const [gate = 0] = workerds();

const online = new Set<string>();
const connectors = new Map<string, Connector>();
ended.defer(() => connectors.forEach((connector) => connector.stop("the measurement is over")));
for (let number = 0; number < Number(options.machines); number += 1) await add(`m${number}`);
await until(() => Promise.resolve(online.size === connectors.size));
await sleep(SETTLE_MS);
const scripts = workerds()
  .filter((pid) => pid !== gate)
  .map(memory)
  .toSorted((one, other) => one - other);
const [least = 0, median = 0, most = 0] = [0, scripts.length >> 1, scripts.length - 1].map((at) => scripts[at]);
console.log(`${connectors.size} machines, connected and idle; load ${load()}`);
console.log(`  ${scripts.length} scripts: ${mb(least)} / ${mb(median)} / ${mb(most)} (least, median, most; PSS)`);
console.log(`  the rest: front ${mb(memory(operator.pid ?? 0))}, gate ${mb(memory(gate))}`);

await end(operator);
online.clear();
const begunMs = performance.now();
operator = start();
await until(isHealthy);
const answeredMs = performance.now() - begunMs;
await until(async () => (await fetch(`${url}/m/m0/mcp`, { method: "POST", headers: authorized() })).ok);
const calledMs = performance.now() - begunMs;
const cpuAtCallMs = cpuMs(tree(operator.pid ?? 0)) ?? 0;
await until(() => Promise.resolve(online.size === connectors.size));
const allMs = performance.now() - begunMs;
console.log(`a start with ${connectors.size} machines registered; load ${load()}`);
console.log(`  first answer after ${seconds(answeredMs)}; a machine's answer after ${seconds(calledMs)}`);
console.log(`  CPU until then ${seconds(cpuAtCallMs)}; all machines back after ${seconds(allMs)}`);

function start(): ChildProcess {
  const env = { ...process.env, OPERATOR_STATE: stateDir, CODEZ_HOME: codezHome };
  return spawn(process.execPath, [...START, "--port", String(port)], { env, stdio: ["ignore", "ignore", "inherit"] });
}

function workerds(): number[] {
  return tree(operator.pid ?? 0).filter(isWorkerd);
}

/** In bytes. Pages that processes share are divided among them (PSS). */
function memory(pid: number): number {
  return pssOf(pid) ?? 0;
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  child.kill("SIGTERM");
  await once(child, "exit");
}

/** Registers a machine, and connects it with the connector that `codez connect` runs. */
async function add(name: string): Promise<void> {
  const response = await fetch(`${url}/api/machines`, {
    method: "POST",
    headers: { ...authorized(), "content-type": "application/json" },
    body: JSON.stringify({ name, identity: `identity-of-machine-${name}` }),
  });
  if (!response.ok) throw new Error(`${name} could not be added: ${response.status} ${await response.text()}`);
  const { linkUrl, token } = Registration.parse(await response.json());
  const connector = new Connector({
    target: new HttpTarget(target, name, "The server of the measurement ended."),
    spool: emptySpool(name),
    facts: () => machineFacts("bench"),
    credentials: () => Promise.resolve({ linkUrl, token: token ?? "" }),
    renamed: () => Promise.resolve(),
    listener: { online: () => void online.add(name), offline: () => void online.delete(name) },
  });
  connectors.set(name, connector);
  void connector.run();
}

/** As every program of the owner's on this computer. */
function authorized(): Record<string, string> {
  return { authorization: `Bearer ${readFileSync(operatorFile(url, "token", codezHome) ?? "", "utf8").trim()}` };
}

/** Whether it answers, and has written the token for this user's programs, which it does a moment later. */
async function isHealthy(): Promise<boolean> {
  return (await fetch(`${url}/api/me`, { headers: authorized() })).ok;
}

async function until(isSo: () => Promise<boolean>): Promise<void> {
  const giveUpMs = performance.now() + LIMIT_MS;
  while (!(await isSo().catch(() => false))) {
    if (performance.now() > giveUpMs) throw new Error("Operator or its machines did not come up");
    await sleep(10);
  }
}

function mb(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(1)} MB`;
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`;
}

function load(): string {
  return loadavg()[0]?.toFixed(1) ?? "unknown";
}
