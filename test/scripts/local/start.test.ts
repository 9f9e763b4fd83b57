import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, statSync } from "node:fs";
import { cp, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { eventually, temporaryFolder } from "./support/harness.ts";
import { childrenOf, isRunning } from "./support/processes.ts";
import { sharedStandIn } from "./support/stand-in.ts";
import { unusedPort } from "../../support/unused-port.ts";

const { root, newState } = await sharedStandIn();

const START = fileURLToPath(new URL("../../../scripts/local/start.ts", import.meta.url));

const REPOSITORY = fileURLToPath(new URL("../../..", import.meta.url));

interface Started {
  readonly pid: number;
  readonly ended: Promise<number | NodeJS.Signals | null>;
  output(): string;
}

/** `npm start` as a process of its own, over stand-in Workers. */
async function startProcess(port: number, stateDir: string, ...more: string[]): Promise<Started> {
  return startWith([process.execPath], port, stateDir, ...more);
}

/** @param node the command line that runs Node */
async function startWith(
  [command = "", ...words]: string[],
  port: number,
  stateDir: string,
  ...more: string[]
): Promise<Started> {
  const env = { ...process.env, OPERATOR_STATE: stateDir, OPERATOR_ROOT: root, CODEZ_HOME: await temporaryFolder() };
  const child = spawn(command, [...words, START, "--port", String(port), ...more], {
    env,
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr])
    stream.setEncoding("utf8").on("data", (part: string) => (output += part));
  const ended = new Promise<number | NodeJS.Signals | null>((resolve) =>
    child.once("exit", (code, signal) => resolve(code ?? signal)),
  );
  return { pid: child.pid ?? 0, ended, output: () => output };
}

test.each([
  ["SIGTERM", 143],
  ["SIGINT", 130],
  ["SIGKILL", "SIGKILL"],
] as const)("%s ends the start and everything it started, and the next start works", async (signal, code) => {
  const stateDir = await newState();
  const port = await unusedPort();
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

test("what is started dies with its start, although the process that watches over it was killed first", async () => {
  const started = await startProcess(await unusedPort(), await newState());
  await eventually(() => (started.output().includes("Operator is running") ? true : undefined), "the start");
  const [workerd = 0] = await childrenOf(started.pid, "workerd");
  const [reaper = 0] = await childrenOf(started.pid, "sh");
  process.kill(reaper, "SIGKILL");
  const next = await eventually(async () => {
    const [now] = await childrenOf(started.pid, "sh");
    return now === reaper ? undefined : now;
  }, "another reaper");
  // No other process was restarted for that.
  expect(await childrenOf(started.pid, "workerd")).toEqual([workerd]);
  expect(started.output()).not.toContain("starting it again");
  process.kill(next, "SIGKILL");
  process.kill(started.pid, "SIGKILL");
  await eventually(async () => ((await isRunning(workerd)) ? undefined : true), "the end of its workerd");
});

test("SIGTERM to npm start ends Operator, since npm tells the process that it started and no other", async () => {
  const port = await unusedPort();
  const env = {
    ...process.env,
    OPERATOR_STATE: await newState(),
    OPERATOR_ROOT: root,
    CODEZ_HOME: await temporaryFolder(),
  };
  // A process group of its own, so that a failure of this test leaves nothing of it behind.
  const npm = spawn("npm", ["start", "--", "--port", String(port)], {
    env,
    cwd: REPOSITORY,
    stdio: "ignore",
    detached: true,
  });
  onTestFinished(() => {
    try {
      process.kill(-(npm.pid ?? 0), "SIGKILL");
    } catch {
      // It has ended, as it should.
    }
  });
  const url = `http://127.0.0.1:${port}/about`;
  await eventually(async () => (await fetch(url).catch(() => undefined))?.ok || undefined, "its answer");
  npm.kill("SIGTERM");
  await eventually(async () => ((await fetch(url).catch(() => null)) === null ? true : undefined), "its end");
});

test("a second start leaves the log of the first as it is", async () => {
  const stateDir = await newState();
  const log = join(stateDir, "operator.log");
  const first = await startProcess(await unusedPort(), stateDir);
  await eventually(() => (first.output().includes("Operator is running") ? true : undefined), "the start");
  const before = await readFile(log, "utf8");
  expect(before).toContain("started as process");
  expect(await (await startProcess(await unusedPort(), stateDir)).ended).toBe(1);
  expect(await readFile(log, "utf8")).toBe(before);
});

test.each([
  ["secrets.json", "{", ["secrets.json is damaged: it is not JSON", "codez setup"]],
  ["secrets.json", `{"DISPATCH_SECRET":5,"x":"secret-text"}`, [`"DISPATCH_SECRET" in it is not valid`]],
  [
    "platform/namespaces/operator/namespace.json",
    "",
    ["namespace.json is damaged: it is empty. It has 0 bytes", "Put back a copy"],
  ],
])("a damaged %s (%j) stops the start with an error that names it and says what to do", async (name, content, said) => {
  const stateDir = await newState();
  await mkdir(dirname(join(stateDir, name)), { recursive: true });
  await writeFile(join(stateDir, name), content);
  const started = await startProcess(await unusedPort(), stateDir);
  expect(await started.ended).toBe(1);
  for (const part of said) expect(started.output()).toContain(part);
  expect(started.output()).toContain(join(stateDir, name));
  expect(started.output()).not.toContain("secret-text");
  expect(started.output()).not.toContain("    at ");
});

const isRoot = process.getuid?.() === 0;

test.skipIf(!isRoot)("a start reports a full disk, and an Operator keeps running when the disk fills up", async () => {
  const disk = await temporaryFolder();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m", "none", disk]);
  try {
    const stateDir = join(disk, "state");
    await cp(await newState(), stateDir, { recursive: true });
    const port = await unusedPort();
    const running = await startProcess(port, stateDir);
    await eventually(() => (running.output().includes("Operator is running") ? true : undefined), running.output());
    expect(await text(`http://127.0.0.1:${port}/count`)).toBe("1");
    fill(join(disk, "filler"));
    for (let n = 0; n < 300; n += 1) await text(`http://127.0.0.1:${port}/log`); // more than the log's last page has room for
    await eventually(() => (/the disk of \S+ is full/.test(running.output()) ? true : undefined), "its being told");
    expect(await (await fetch(`http://127.0.0.1:${port}/about`)).json()).toHaveProperty("host");
    process.kill(running.pid, "SIGTERM");
    await running.ended;

    fill(join(disk, "filler")); // what has ended gave back the blocks of its lock
    const full = await startProcess(port, stateDir);
    expect(await full.ended).toBe(1);
    expect(full.output()).toContain(`the disk of ${stateDir} is full. Free some space there`);
    expect(full.output()).not.toContain("    at ");

    await rm(join(disk, "filler"));
    const again = await startProcess(port, stateDir);
    await eventually(() => (again.output().includes("Operator is running") ? true : undefined), again.output());
    expect(await text(`http://127.0.0.1:${port}/count`)).toBe("2");
    process.kill(again.pid, "SIGTERM");
    await again.ended;

    execFileSync("mount", ["-o", "remount,ro", disk]);
    const readOnly = await startProcess(port, stateDir);
    expect(await readOnly.ended).toBe(1);
    expect(readOnly.output()).toContain(`${stateDir} is on a read-only disk`);
    expect(readOnly.output()).not.toContain("    at ");
  } finally {
    execFileSync("umount", ["--lazy", disk]);
  }
});

test.skipIf(!isRoot)("the very first start reports a full or read-only disk", async () => {
  const disk = await temporaryFolder();
  execFileSync("mount", ["-t", "tmpfs", "-o", "size=24k", "none", disk]);
  try {
    const small = await startProcess(await unusedPort(), join(disk, "state"));
    expect(await small.ended).toBe(1);
    expect(small.output()).toMatch(/^the disk of \S+ is full\. Free some space there/m);
    expect(small.output()).not.toContain("    at ");
    execFileSync("mount", ["-o", "remount,ro", disk]);
    const readOnly = await startProcess(await unusedPort(), join(disk, "other", "state"));
    expect(await readOnly.ended).toBe(1);
    expect(readOnly.output()).toMatch(/^\S+ is on a read-only disk\. Mount it writable/m);
  } finally {
    execFileSync("umount", ["--lazy", disk]);
  }
});

test.skipIf(!isRoot)(
  "a start on a disk that has bytes and no more files says which of the two is used up",
  async () => {
    const disk = await temporaryFolder();
    execFileSync("mount", ["-t", "tmpfs", "-o", "size=12m,nr_inodes=3", "none", disk]);
    try {
      const started = await startProcess(await unusedPort(), join(disk, "state"));
      expect(await started.ended).toBe(1);
      expect(started.output()).toMatch(
        /^the disk of \S+ has no room for more files, only for bytes\. Remove some files/m,
      );
      expect(started.output()).not.toContain("    at ");
    } finally {
      execFileSync("umount", ["--lazy", disk]);
    }
  },
);

test.each(["000", "022", "777"])(
  "with a umask of %s all files are their owner's alone, who can use them",
  async (umask) => {
    const stateDir = await newState();
    const started = await startWith(
      ["sh", "-c", `umask ${umask}; exec "$0" "$@"`, process.execPath],
      await unusedPort(),
      stateDir,
    );
    await eventually(() => (started.output().includes("Operator is running") ? true : undefined), started.output());
    await rm(join(stateDir, "bundles"), { recursive: true }); // of the test's own making
    const modes = (await readdir(stateDir, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile() || entry.isDirectory())
      .map((entry) => `${entry.name} ${(statSync(join(entry.parentPath, entry.name)).mode & 0o777).toString(8)}`);
    expect(modes).toContain("secrets.json 600");
    expect(modes.filter((mode) => !/ [67]00$/.test(mode))).toEqual([]);
  },
);

/** Writes until nothing more goes in. */
function fill(path: string): void {
  const chunk = Buffer.alloc(64 * 1024);
  for (let size = chunk.length; size >= 1; size = Math.floor(size / 2)) {
    try {
      for (;;) appendFileSync(path, chunk.subarray(0, size));
    } catch {
      // No chunk of this size fits any more; a smaller one may.
    }
  }
}

async function text(url: string): Promise<string> {
  return (await fetch(url)).text();
}

test("a lock that was left behind or cut short prevents no start", async () => {
  for (const lock of [JSON.stringify({ pid: 1, born: "another time", url: "http://127.0.0.1:1" }), "{"]) {
    const stateDir = await newState();
    await mkdir(stateDir, { recursive: true });
    await writeFile(join(stateDir, "lock.json"), lock);
    const started = await startProcess(await unusedPort(), stateDir);
    await eventually(() => (started.output().includes("Operator is running") ? true : undefined), "the start");
    expect(JSON.parse(await readFile(join(stateDir, "lock.json"), "utf8"))).toMatchObject({ pid: started.pid });
  }
});

test("with --log-format json the log and standard error have one object per line", async () => {
  const stateDir = await newState();
  const started = await startProcess(await unusedPort(), stateDir, "--log-format", "json");
  await eventually(() => (started.output().includes("Operator is running") ? true : undefined), started.output());
  const lines = (await readFile(join(stateDir, "operator.log"), "utf8")).trim().split("\n");
  for (const line of lines)
    expect(JSON.parse(line)).toMatchObject({ time: expect.any(String), message: expect.any(String) });
  expect(JSON.parse(lines.at(-1) ?? "")).toMatchObject({
    source: "operator",
    message: expect.stringContaining("started as"),
  });
  const [first = ""] = started.output().split("\n");
  expect(JSON.parse(first)).toMatchObject({ message: "Starting Operator ..." });
});
