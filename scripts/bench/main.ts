import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { machinePath } from "#protocol/address.ts";
import { startBareGate, startBareRelay } from "./bare-relay.ts";
import { call, measure, type Path, timeToProgress, withConnections } from "./load.ts";
import { startOperatorPath } from "./operator-path.ts";
import { INSTALL, startPeers } from "./peers.ts";
import { cpuMs, memoryMb } from "./processes.ts";
import { openProfiler } from "./profile.ts";
import { inTurns, median, type Row } from "./rounds.ts";
import { figure, printTable, ratio } from "./table.ts";

const HELP = `npm run bench [-- options]: what a call costs through Operator, as ratios to a bare relay of the same shape
measured in the same run. Every answer is checked.

  --quick               echo alone, at 1 and at 32 at once, in 3 rounds
  --rounds <n>          how often each path has its turn; the median is shown (5)
  --cpu-profile <dir>   no figures: where the CPU goes, as V8 CPU profiles of every isolate and process in <dir>
`;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    "cpu-profile": { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(HELP);
  process.exit();
}

const ROUNDS = Number(options.rounds ?? (options.quick ? 3 : 5));
const CALLS: Record<number, number> = options.quick ? { 1: 300, 32: 2_400 } : { 1: 400, 8: 1_200, 32: 2_400 };
/** Code is compiled and caches are filled by then. */
const WARM_UP_CALLS = 1_000;
/** Opens the connections of a run before it is timed. */
const OPENING_CALLS = 2;
const SIZES = [64 * 1024, 1024 * 1024];
const SIZED_CALLS = 40;
const PROGRESS_CALLS = 20;
const MACHINES = 50;
const PROFILED_CALLS = 6_000;

const plain: Path["params"] = (name, args) => ({ name, arguments: args });
const unified: Path["params"] = (name, args) => ({
  name: "call_tool",
  arguments: { machineId: "bench", name, arguments: args },
});

const profiler = options["cpu-profile"] === undefined ? null : openProfiler(options["cpu-profile"]);
await using started = new AsyncDisposableStack();
const server = fork(fileURLToPath(new URL("reference-server.ts", import.meta.url)));
started.defer(() => void server.kill());
const [{ url: serverUrl }] = (await once(server, "message")) as [{ url: string }];
const bare = started.use(await startBareRelay(serverUrl));
const gated = started.use(await startBareGate(bare));
const operator = started.use(await startOperatorPath(serverUrl, profiler));
const peers = started.use(await startPeers(serverUrl));

const relay: Path = { name: "bare relay", url: bare.url, params: plain, processes: bare.processes };
/** What no path with a process for each script can be faster than. */
const floor: Path = { name: "bare, gated", url: gated.url, params: plain, processes: gated.processes };
const { processes, headers } = operator;
const operatorPaths: Path[] = [
  { name: "machine URL", url: operator.url + machinePath("bench", "/mcp"), headers, params: plain, processes },
  { name: "unified /mcp", url: `${operator.url}/mcp`, headers, params: unified, processes },
];
const direct: Path = { name: "direct", url: serverUrl, params: plain, processes: () => ({}) };
/** `direct again` shows how much two measurements of the same thing differ in this run. */
const paths: Path[] = [direct, { ...direct, name: "direct again" }, relay, floor, ...operatorPaths, ...peers.paths];

for (const path of paths) await echo(path, 8, WARM_UP_CALLS);
if (profiler === null) await compareAll();
else
  for (const path of operatorPaths)
    await profiler.during(path.name, path.processes(), () => echo(path, 32, PROFILED_CALLS));

async function compareAll(): Promise<void> {
  if (peers.paths.length === 0) console.log(`To compare with mcp-hub and mcp-proxy: ${INSTALL}`);
  for (const [concurrency, calls] of Object.entries(CALLS)) await compareEcho(Number(concurrency), calls);
  if (options.quick) return;
  for (const bytes of SIZES) await compareSize(bytes);
  await compareProgress();
  await compareList();
  const { connector, ...rest } = operator.processes();
  printTable(
    "memory (resident)",
    ["MB"],
    [
      ["Operator", figure(memoryMb(Object.values(rest).flat()), 0)],
      ["connector", figure(memoryMb(connector), 0)],
      ["bare relay", figure(memoryMb(Object.values(bare.processes()).flat()), 0)],
    ],
  );
}

function echo(path: Path, concurrency: number, calls: number): Promise<Row> {
  return calling(path, concurrency, calls, (n) => ["echo", { text: `echo ${n}` }, `echo ${n}`]);
}

/** Calls one of the server's tools `calls` times, and returns the times and the CPU per call of each of the path's processes. */
function calling(
  path: Path,
  concurrency: number,
  calls: number,
  what: (n: number) => [tool: string, args: Record<string, unknown>, expected: string],
): Promise<Row> {
  return withConnections(async (agent) => {
    const one = (n: number) => call(agent, path, ...what(n));
    await measure(concurrency, concurrency * OPENING_CALLS, one);
    const running = Object.entries(path.processes());
    const before = running.map(([, pids]) => cpuMs(pids));
    const sample = await measure(concurrency, calls, one);
    const cpu: Row = {};
    for (const [index, [name, pids]] of running.entries()) {
      const usedMs = (cpuMs(pids) ?? Number.NaN) - (before[index] ?? Number.NaN);
      cpu[`cpu ${name}`] = (usedMs * 1000) / calls;
    }
    const cpuUs = Object.values(cpu).reduce((total, used) => total + used, 0);
    return { ...sample, ...cpu, ...(running.length === 0 ? {} : { cpuUs }) };
  });
}

async function compareEcho(concurrency: number, calls: number): Promise<void> {
  const rows = await inTurns(ROUNDS, paths, (path) => echo(path, concurrency, calls));
  printSamples(`echo, ${concurrency} at once (${calls} calls, ${ROUNDS} rounds)`, rows);
  printProcesses(`${concurrency} at once`, rows);
}

/** The CPU of each process of those paths whose processes are known. */
function printProcesses(what: string, rows: Map<string, Row>): void {
  const parts = [...rows].filter(([, row]) => row["cpuUs"] !== undefined);
  printTable(
    `CPU us per call by process, ${what}`,
    [],
    parts.map(([name, row]) => [
      name,
      ...Object.entries(row).flatMap(([key, us]) =>
        key.startsWith("cpu ") ? [`${key.slice(4)} ${figure(us, 0)}`.padStart(15)] : [],
      ),
    ]),
  );
}

async function compareSize(bytes: number): Promise<void> {
  const text = "x".repeat(bytes);
  const rows = await inTurns(ROUNDS, paths, (path) => calling(path, 1, SIZED_CALLS, () => ["big", { bytes }, text]));
  const rate = (row: Row | undefined) => ((row?.["perSecond"] ?? Number.NaN) * bytes) / 1e6;
  const bareRate = rate(rows.get(relay.name));
  printTable(
    `${bytes / 1024} KB result, 1 at once (${SIZED_CALLS} calls, ${ROUNDS} rounds)`,
    ["p50 ms", "p99 ms", "MB/s", "p50 / bare", "MB/s / bare"],
    [...rows].map(([name, row]) => [
      name,
      figure(row["p50Ms"], 2),
      figure(row["p99Ms"], 2),
      figure(rate(row), 1),
      ratio(row["p50Ms"], rows.get(relay.name)?.["p50Ms"]),
      ratio(rate(row), bareRate),
    ]),
  );
  printProcesses(`${bytes / 1024} KB result`, rows);
}

async function compareProgress(): Promise<void> {
  // The peers answer tools/call with progress in ways of their own; what is compared here is streaming.
  const bares = [relay, floor].map((path) => ({ ...path, url: new URL("/stream", path.url).href }));
  const streaming = [direct, ...bares, ...operatorPaths];
  const rows = await inTurns(ROUNDS, streaming, (path) =>
    withConnections(async (agent) => {
      const times: number[] = [];
      for (let n = 0; n < PROGRESS_CALLS; n += 1) times.push(await timeToProgress(agent, path));
      return { ms: median(times) };
    }),
  );
  printTable(
    `time to the first progress notification (${PROGRESS_CALLS} calls, ${ROUNDS} rounds)`,
    ["ms", "/ bare"],
    [...rows].map(([name, { ms }]) => [name, figure(ms, 2), ratio(ms, rows.get(relay.name)?.["ms"])]),
  );
}

/** The tool list must cost the same however many machines there are. */
async function compareList(): Promise<void> {
  const all = {
    ...headers,
    "content-type": "application/json",
    accept: "application/json, text/event-stream",
  };
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
  const list = async (): Promise<number> => {
    const response = await fetch(`${operator.url}/mcp`, { method: "POST", headers: all, body });
    return (await response.arrayBuffer()).byteLength;
  };
  const row = async (machines: number) => {
    const bytes = await list();
    const { p50Ms } = await measure(1, 200, list);
    return [`${machines} machines`, figure(p50Ms, 2), figure(bytes, 0)];
  };
  const one = await row(1);
  await operator.register(MACHINES - 1);
  printTable("tools/list at /mcp", ["p50 ms", "bytes"], [one, await row(MACHINES)]);
}

function printSamples(title: string, rows: Map<string, Row>): void {
  const base = rows.get(relay.name);
  printTable(
    title,
    ["p50 ms", "p99 ms", "calls/s", "CPU us/call", "p50 / bare", "rate / bare", "CPU / bare"],
    [...rows].map(([name, row]) => [
      name,
      figure(row["p50Ms"], 2),
      figure(row["p99Ms"], 2),
      figure(row["perSecond"], 0),
      figure(row["cpuUs"], 0),
      ratio(row["p50Ms"], base?.["p50Ms"]),
      ratio(row["perSecond"], base?.["perSecond"]),
      ratio(row["cpuUs"], base?.["cpuUs"]),
    ]),
  );
}
