import { fork, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { setTimeout as sleep } from "node:timers/promises";
import { takeLock } from "../../../scripts/local/lock.ts";
import { holderOf, Lock } from "../../../scripts/system/lock.ts";
import { lifeOf } from "../../../scripts/system/process-start.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";
import { startUnreaped } from "./support/zombie-maker.ts";

/** What a process left that cannot exist, in the words of either kind of lock. */
const DEAD = JSON.stringify({
  pid: 2 ** 22 + 1,
  started: "0",
  born: "0",
  url: "",
  sinceMs: 0,
  state: "online",
  detail: "",
});

const RACER = fileURLToPath(new URL("support/lock-racer.ts", import.meta.url));
const TAKER = fileURLToPath(new URL("support/lock-taker.ts", import.meta.url));

it("one process holds the lock, publishes its status, and releases it", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "machines", "a.lock");
  const lock = Lock.take(path);
  if (!(lock instanceof Lock)) throw new Error("taken");
  expect(Lock.take(path)).toMatchObject({ pid: process.pid, state: "connecting" });
  lock.say("offline", "no network");
  expect(holderOf(path)).toMatchObject({ pid: process.pid, state: "offline", detail: "no network" });
  lock.release();
  expect(existsSync(path)).toBe(false);
  expect(Lock.take(path)).toBeInstanceOf(Lock);
});

it("a lock that is a link to nothing is refused, and not tried without end", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "lock");
  symlinkSync("nothing", path);
  await expect(takeLock(path)).rejects.toThrow(`${path} cannot be read, though it is there`);
});

it("a process that was killed holds nothing", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.lock");
  const child = fork(TAKER, [path]);
  await once(child, "message");
  expect(holderOf(path)?.pid).toBe(child.pid);
  child.kill("SIGKILL");
  await once(child, "exit");
  expect(holderOf(path)).toBeNull();
  expect(Lock.take(path)).toBeInstanceOf(Lock);
});

it.skipIf(process.platform === "win32")("a zombie process holds nothing", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.lock");
  const { shell, line } = startUnreaped(TAKER, path);
  const pid = Number(await line);
  while (holderOf(path) === null) await sleep(20);
  process.kill(pid, "SIGKILL");
  while (lifeOf(pid).isAlive) await sleep(20);
  expect(() => process.kill(pid, 0)).not.toThrow(); // to the system it is still there
  expect(holderOf(path)).toBeNull();
  expect(Lock.take(path)).toBeInstanceOf(Lock);
  shell.kill("SIGKILL");
  await once(shell, "exit");
});

it.runIf(process.platform === "linux")("a lock of an older codez, without the boot's id, still counts", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.lock");
  expect(Lock.take(path)).toBeInstanceOf(Lock);
  const holder = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...holder, started: holder.started.split(":").at(-1) }));
  expect(Lock.take(path)).toMatchObject({ pid: process.pid });
});

it.runIf(process.platform === "linux")(
  "a process with the same number and start time from another boot holds nothing",
  () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "a.lock");
    expect(Lock.take(path)).toBeInstanceOf(Lock);
    const holder = JSON.parse(readFileSync(path, "utf8"));
    writeFileSync(path, JSON.stringify({ ...holder, started: holder.started.replace(/^[^:]*/, "00000000") }));
    expect(Lock.take(path)).toBeInstanceOf(Lock);
  },
);

it("another process with the number of a dead one holds nothing", async () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.lock");
  const lock = Lock.take(path);
  if (!(lock instanceof Lock)) throw new Error("taken");
  const stranger = spawn(process.execPath, ["-e", "setInterval(() => {}, 1000)"]);
  const holder = JSON.parse(readFileSync(path, "utf8"));
  writeFileSync(path, JSON.stringify({ ...holder, pid: stranger.pid }));
  expect(holderOf(path)).toBeNull();
  expect(Lock.take(path)).toBeInstanceOf(Lock);
  stranger.kill("SIGKILL");
  await once(stranger, "exit");
});

it.each(["", "garbage", "{}"])("a file that no connector wrote holds nothing: %j", (text) => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.lock");
  writeFileSync(path, text);
  expect(Lock.take(path)).toBeInstanceOf(Lock);
});

it.each(["connector", "operator"])(
  "of many processes that replace a dead %s's lock at once, one gets it",
  async (kind) => {
    using folder = temporaryFolder();
    // Many locks in a row, because each is raced for only during some microseconds.
    const paths = Array.from({ length: 200 }, (_, index) => join(folder.path, `${index}.lock`));
    for (const path of paths) writeFileSync(path, DEAD);
    const children = Array.from({ length: 4 }, () => fork(RACER, [kind, ...paths]));
    const said = async (child: (typeof children)[number]): Promise<unknown> => (await once(child, "message"))[0];
    await Promise.all(children.map(said));
    const answers = children.map(said);
    for (const child of children) child.send(Date.now() + 100);
    expect((await Promise.all(answers)).flat().toSorted()).toEqual(paths.toSorted());
    expect(readdirSync(folder.path).toSorted()).toEqual(paths.map((path) => basename(path)).toSorted());
    await Promise.all(
      children.map(async (child) => {
        child.kill("SIGKILL");
        await once(child, "exit");
      }),
    );
  },
);

it("the right to replace a dead one's lock passes on when its holder dies as well", () => {
  using folder = temporaryFolder();
  const path = join(folder.path, "a.lock");
  writeFileSync(path, DEAD);
  const right = Lock.toReplace(path, DEAD);
  expect(right).toBeInstanceOf(Lock);
  expect(Lock.toReplace(path, DEAD)).toMatchObject({ pid: process.pid });
  expect(Lock.take(path)).toMatchObject({ pid: process.pid });
  const [name = ""] = readdirSync(folder.path).filter((one) => one !== "a.lock");
  writeFileSync(join(folder.path, name), DEAD);
  expect(Lock.take(path)).toBeInstanceOf(Lock);
  expect(readdirSync(folder.path)).toEqual(["a.lock"]);
});
