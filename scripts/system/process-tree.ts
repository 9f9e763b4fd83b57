import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * The environment variable that marks an agent's process and, by inheritance, everything that it starts. Claude Code runs each
 * command in a session of its own. When Claude Code is killed (SIGKILL, out of memory), those commands keep running, and neither
 * their process group nor their parent identifies them any more. The mark does.
 */
export const MARK_VARIABLE = "CODEZ_AGENT";

/** Time between SIGTERM and SIGKILL. Claude Code needs a tenth of a second to end its commands and write its last lines. */
const TERMINATE_LIMIT_MS = 3_000;

/** How often to check whether the processes are gone. */
const LOOK_MS = 25;

/**
 * How long to wait after SIGKILL. A killed process is gone immediately, unless it is stuck in the kernel (a dead network
 * disk).
 */
const KILL_LIMIT_MS = 2_000;

const LIST_LIMIT_MS = 5_000;

/**
 * Ends a process, its descendants, and everything with its mark: first asks the root to end, then kills what is left. Resolves when
 * all are gone, or when the kernel does not let go of one in time.
 */
export async function killTree(pid: number, mark: string): Promise<void> {
  if (process.platform === "win32") return killTreeOnWindows(pid);
  const doomed = new Set([pid, ...(await descendants(pid)), ...(await marked(mark))]);
  signal(pid, "SIGTERM");
  await gone([pid], TERMINATE_LIMIT_MS);
  // Once more, for processes that were started in the meantime.
  for (const late of [...(await descendants(pid)), ...(await marked(mark))]) doomed.add(late);
  for (const one of doomed) signal(one, "SIGKILL");
  await gone([...doomed], KILL_LIMIT_MS);
}

/**
 * Ends everything with a mark after the marked process has died by itself. No signal is sent to that process's id, which may
 * belong to another program by now.
 */
export async function killMarked(mark: string): Promise<void> {
  const doomed = await marked(mark);
  for (const pid of doomed) signal(pid, "SIGKILL");
  await gone(doomed, KILL_LIMIT_MS);
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch (error) {
    // EPERM: the process is alive and belongs to another user.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/**
 * Whether a process is dead but its parent has not waited for it. In a container without an init it may stay in that state
 * indefinitely.
 */
function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    return stateOf(readFileSync(`/proc/${pid}/stat`, "utf8"))[0] === "Z";
  } catch {
    // It ended between the two checks.
    return true;
  }
}

/** The fields after the name (state, parent, ...). The name itself may contain spaces and brackets. */
function stateOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Processes with this mark in their environment. Only Linux shows other processes' environments; elsewhere the list is empty. */
async function marked(mark: string): Promise<number[]> {
  if (process.platform !== "linux") return [];
  const found: number[] = [];
  const line = `${MARK_VARIABLE}=${mark}`;
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = await readProc(pid, "environ");
    if (environment.split("\0").some((one) => one.startsWith(line))) found.push(pid);
  }
  return found;
}

async function descendants(root: number): Promise<number[]> {
  const children = new Map<number, number[]>();
  for (const { pid, parent } of await processes()) children.set(parent, [...(children.get(parent) ?? []), pid]);
  const found: number[] = [];
  for (const pid of walk(root, children)) found.push(pid);
  return found;
}

function* walk(root: number, children: ReadonlyMap<number, readonly number[]>): Generator<number> {
  for (const child of children.get(root) ?? []) {
    yield child;
    yield* walk(child, children);
  }
}

async function processes(): Promise<{ pid: number; parent: number }[]> {
  if (process.platform === "linux") return processesOfProc();
  const { stdout } = await run("ps", ["-A", "-o", "pid=,ppid="], { timeout: LIST_LIMIT_MS });
  return stdout.split("\n").flatMap((line) => {
    const [pid, parent] = line.trim().split(/\s+/).map(Number);
    return pid === undefined || parent === undefined ? [] : [{ pid, parent }];
  });
}

/** All processes, read from /proc, because containers often have no `ps`. */
async function processesOfProc(): Promise<{ pid: number; parent: number }[]> {
  const found: { pid: number; parent: number }[] = [];
  for (const entry of await readdir("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid)) continue;
    const parent = Number(stateOf(await readProc(pid, "stat"))[1]);
    if (Number.isInteger(parent)) found.push({ pid, parent });
  }
  return found;
}

/** The file's text; empty for a process that has ended or belongs to another user. */
async function readProc(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself before the signal arrived.
  }
}

async function gone(pids: readonly number[], limitMs: number): Promise<void> {
  const giveUpAtMs = Date.now() + limitMs;
  while (Date.now() < giveUpAtMs && pids.some(isAlive)) await sleep(LOOK_MS);
}

async function killTreeOnWindows(pid: number): Promise<void> {
  await run("taskkill", ["/pid", String(pid), "/T", "/F"], { timeout: LIST_LIMIT_MS }).catch((error: unknown) => {
    // 128: there is no such process, so nothing has to be ended.
    if (!(error instanceof Error && "code" in error && error.code === 128)) throw error;
  });
}
