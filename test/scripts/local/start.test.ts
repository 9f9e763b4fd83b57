import { spawn } from "node:child_process";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { eventually } from "./support/harness.ts";
import { childrenOf, isRunning } from "./support/processes.ts";
import { sharedStandIn } from "./support/stand-in.ts";

const { root, newState } = await sharedStandIn();

const START = fileURLToPath(new URL("../../../scripts/local/start.ts", import.meta.url));

interface Started {
  readonly pid: number;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  output(): string;
}

/** `npm start` as a process of its own, over stand-in Workers. */
async function startProcess(port: number, stateDir: string): Promise<Started> {
  const env = { ...process.env, OPERATOR_STATE: stateDir, OPERATOR_ROOT: root };
  const child = spawn(process.execPath, [START, "--port", String(port)], { env, stdio: ["ignore", "pipe", "pipe"] });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (part: string) => (output += part));
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  return { pid: child.pid ?? 0, ended, output: () => output };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === "object" && address ? address.port : 0;
}

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGKILL", "SIGKILL"],
] as const)("%s ends the start and everything it started, and the next start works", async (signal, code) => {
  const stateDir = await newState();
  const port = await freePort();
  const first = await startProcess(port, stateDir);
  await eventually(() => (first.output().includes("Operator is running") ? true : undefined), first.output());
  const workerds = await childrenOf(first.pid, "workerd");
  expect(workerds).toHaveLength(1);

  const other = await startProcess(port, stateDir);
  expect(await other.ended).toBe(1);
  expect(other.output()).toContain(`already running here: http://127.0.0.1:${port} (process ${first.pid})`);

  process.kill(first.pid, signal);
  expect(await first.ended).toBe(code);
  await eventually(async () => ((await isRunning(workerds[0] ?? 0)) ? undefined : true), "the end of its workerd");

  const second = await startProcess(port, stateDir);
  await eventually(() => (second.output().includes("Operator is running") ? true : undefined), "the second start");
  expect(await (await fetch(`http://127.0.0.1:${port}/count`)).text()).toBe("1");
});

test("a taken port and a bad argument are told in one line", async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  onTestFinished(() => void server.close());
  const address = server.address();
  const port = typeof address === "object" && address ? address.port : 0;
  const taken = await startProcess(port, await newState());
  expect(await taken.ended).toBe(1);
  expect(taken.output()).toContain(`port ${port} on 127.0.0.1 is taken`);
  const wrong = await startProcess(-1, await newState());
  expect(await wrong.ended).toBe(1);
  expect(wrong.output()).not.toContain("    at ");
});

test("a lock that its holder left behind, or that was cut short, does not keep anybody out", async () => {
  for (const lock of [JSON.stringify({ pid: 1, born: "another time", url: "http://127.0.0.1:1" }), "{"]) {
    const stateDir = await newState();
    await mkdir(stateDir, { recursive: true });
    await writeFile(join(stateDir, "lock.json"), lock);
    const started = await startProcess(await freePort(), stateDir);
    await eventually(() => (started.output().includes("Operator is running") ? true : undefined), "the start");
    expect(JSON.parse(await readFile(join(stateDir, "lock.json"), "utf8"))).toMatchObject({ pid: started.pid });
  }
});
