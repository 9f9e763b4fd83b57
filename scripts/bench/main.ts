import { fork } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { machinePath } from "#protocol/address.ts";
import { startBareRelay } from "./bare-relay.ts";
import { cpuMs, memoryMb } from "./cpu.ts";
import { call, measure, type Path, type Sample, timeToProgress } from "./load.ts";
import { startOperatorPath } from "./operator-path.ts";

/**
 * `npm run bench`: what a call costs through Operator, as ratios to a bare relay of the same shape measured in the same
 * run. Paths are measured in turns, several times over, and the median of the rounds is shown, so that what else this
 * computer does falls on all of them alike. Every answer is checked.
 */
const ROUNDS = 5;
const CALLS: Record<number, number> = { 1: 400, 8: 1_200, 32: 2_400 };
const WARM_UP_CALLS = 1_000;
const SIZES = [64 * 1024, 1024 * 1024];
const SIZED_CALLS = 40;
const MACHINES = 50;

const plain: Path["params"] = (name, args) => ({ name, arguments: args });
const unified: Path["params"] = (name, args) => ({
  name: "call_tool",
  arguments: { machineId: "bench", name, arguments: args },
});

const server = fork(fileURLToPath(new URL("reference-server.ts", import.meta.url)));
const [{ url: serverUrl }] = (await once(server, "message")) as [{ url: string }];
const bare = await startBareRelay(serverUrl);
const operator = await startOperatorPath(serverUrl);

const paths: Path[] = [
  { name: "direct", url: serverUrl, params: plain, pids: () => [] },
  { name: "direct again", url: serverUrl, params: plain, pids: () => [] },
  { name: "bare relay", url: bare.url, params: plain, pids: bare.pids },
  {
    name: "machine URL",
    url: operator.url + machinePath("bench", "/mcp"),
    params: plain,
    pids: () => [...operator.pids(), ...operator.connectorPids()],
  },
  {
    name: "unified /mcp",
    url: `${operator.url}/mcp`,
    params: unified,
    pids: () => [...operator.pids(), ...operator.connectorPids()],
  },
];

try {
  for (const path of paths)
    await measure(8, WARM_UP_CALLS, (n) => call(path, "echo", { text: `warm ${n}` }, `warm ${n}`));
  for (const [concurrency, calls] of Object.entries(CALLS)) await compare(Number(concurrency), calls);
  for (const bytes of SIZES) await compareSize(bytes);
  await compareProgress();
  await compareList();
  print("memory, MB (resident)", [
    ["Operator", memoryMb(operator.pids())],
    ["connector", memoryMb(operator.connectorPids())],
    ["bare relay", memoryMb(bare.pids())],
  ]);
} finally {
  await operator.stop();
  await bare.stop();
  server.kill();
}

async function compare(concurrency: number, calls: number): Promise<void> {
  const rows = await inTurns(paths, async (path) => {
    const before = cpuMs(path.pids());
    const sample = await measure(concurrency, calls, (n) => call(path, "echo", { text: `echo ${n}` }, `echo ${n}`));
    const after = cpuMs(path.pids());
    return { ...sample, cpuUs: before === null || after === null ? Number.NaN : ((after - before) / calls) * 1000 };
  });
  const relay = rows.get("bare relay");
  console.log(`\necho, ${concurrency} at once (${calls} calls, ${ROUNDS} rounds)`);
  console.log(cells("", "p50 ms", "p99 ms", "calls/s", "p50 / bare", "rate / bare", "CPU us/call", "CPU / bare"));
  for (const [name, row] of rows) {
    console.log(cells(...columns(name, row, relay), row.cpuUs.toFixed(0), ratio(row.cpuUs, relay?.cpuUs)));
  }
}

async function compareSize(bytes: number): Promise<void> {
  const text = "x".repeat(bytes);
  const rows = await inTurns(paths, (path) => measure(1, SIZED_CALLS, () => call(path, "big", { bytes }, text)));
  printSamples(`${bytes / 1024} KB result, 1 at once`, rows);
}

async function compareProgress(): Promise<void> {
  const streaming = paths.filter(({ name }) => name !== "bare relay"); // the bare relay knows no streams
  const rows = await inTurns(streaming, async (path) => {
    const times: number[] = [];
    for (let n = 0; n < 20; n += 1) times.push(await timeToProgress(path));
    times.sort((one, other) => one - other);
    return { ms: times[10] ?? Number.NaN };
  });
  print(
    "time to the first progress notification, ms",
    [...rows].map(([name, { ms }]) => [name, ms]),
  );
}

/** The tool list must cost the same however many machines there are. */
async function compareList(): Promise<void> {
  const list = async (): Promise<number> => {
    const headers = {
      "content-type": "application/json",
      accept: "application/json, text/event-stream",
      "mcp-protocol-version": "2025-11-25",
    };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "tools/list" });
    const response = await fetch(`${operator.url}/mcp`, { method: "POST", headers, body });
    return (await response.text()).length;
  };
  const one = { bytes: await list(), ...(await measure(1, 200, list)) };
  await operator.register(MACHINES - 1);
  const many = { bytes: await list(), ...(await measure(1, 200, list)) };
  print("tools/list at /mcp", [
    ["bytes, 1 machine", one.bytes],
    [`bytes, ${MACHINES} machines`, many.bytes],
    ["p50 ms, 1 machine", one.p50Ms],
    [`p50 ms, ${MACHINES} machines`, many.p50Ms],
  ]);
}

async function inTurns<Row extends Record<string, number>>(
  among: Path[],
  run: (path: Path) => Promise<Row>,
): Promise<Map<string, Row>> {
  const rounds = new Map<string, Row[]>(among.map(({ name }) => [name, []]));
  for (let round = 0; round < ROUNDS; round += 1)
    for (const path of among) rounds.get(path.name)?.push(await run(path));
  return new Map([...rounds].map(([name, rows]) => [name, medians(rows)]));
}

function medians<Row extends Record<string, number>>(rows: Row[]): Row {
  const [first] = rows;
  if (first === undefined) throw new Error("no rounds");
  const entries = Object.keys(first).map((key) => {
    const values = rows.map((row) => row[key] ?? Number.NaN).sort((one, other) => one - other);
    return [key, values[Math.floor(values.length / 2)]];
  });
  return Object.fromEntries(entries) as Row;
}

/** One path's times and rate, and both as ratios to the bare relay. */
function columns(name: string, row: Sample, relay: Sample | undefined): [string, ...string[]] {
  const measured = [row.p50Ms.toFixed(2), row.p99Ms.toFixed(2), row.perSecond.toFixed(0)];
  return [name, ...measured, ratio(row.p50Ms, relay?.p50Ms), ratio(row.perSecond, relay?.perSecond)];
}

function printSamples(title: string, rows: Map<string, Sample>): void {
  const relay = rows.get("bare relay");
  console.log(`\n${title}`);
  console.log(cells("", "p50 ms", "p99 ms", "calls/s", "p50 / bare", "rate / bare"));
  for (const [name, row] of rows) console.log(cells(...columns(name, row, relay)));
}

function print(title: string, rows: (readonly [string, number | null])[]): void {
  console.log(`\n${title}`);
  for (const [name, value] of rows) console.log(cells(name, value === null ? "not known here" : value.toFixed(2)));
}

function ratio(value: number, base: number | undefined): string {
  return base === undefined ? "" : (value / base).toFixed(2);
}

function cells(first: string, ...rest: string[]): string {
  return first.padEnd(24) + rest.map((cell) => cell.padStart(12)).join("");
}
