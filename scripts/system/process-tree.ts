import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";

const run = promisify(execFile);

/**
 * The variable that marks an agent's process, and by inheritance all that it starts. Claude Code gives each command a
 * session of its own, so when it dies hard (SIGKILL, out of memory) neither group nor parent leads to them any more.
 */
export const MARK_VARIABLE = "CODEZ_AGENT";

/** After SIGTERM Claude Code ends its commands and writes its last lines, which takes a tenth of a second. */
const TERMINATE_LIMIT_MS = 3_000;

/** How often it is looked whether they are gone. */
const LOOK_MS = 25;

/** A process that was killed is gone at once, but for one stuck in the kernel (a dead network disk). */
const KILL_LIMIT_MS = 2_000;

const LIST_LIMIT_MS = 5_000;

/**
 * Ends a process, what descends from it and what carries its mark: asks the root first, then kills what is left.
 * Resolves when nothing is, or when the kernel won't let go.
 */
export async function killTree(pid: number, mark: string): Promise<void> {
  if (process.platform === "win32") return killTreeOnWindows(pid);
  const doomed = new Set([pid, ...(await descendants(pid)), ...(await marked(mark))]);
  signal(pid, "SIGTERM");
  await gone([pid], TERMINATE_LIMIT_MS);
  // Once more, for what was started meanwhile.
  for (const late of [...(await descendants(pid)), ...(await marked(mark))]) doomed.add(late);
  for (const one of doomed) signal(one, "SIGKILL");
  await gone([...doomed], KILL_LIMIT_MS);
}

/**
 * Ends what carries a mark when the process it was given to has died by itself. That process is not touched: its
 * number may be another's by now.
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
    // EPERM: it lives and belongs to somebody else.
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

/** Dead, but not yet waited for by its parent; in a container without an init it may stay so for ever. */
function isZombie(pid: number): boolean {
  if (process.platform !== "linux") return false;
  try {
    return stateOf(readFileSync(`/proc/${pid}/stat`, "utf8"))[0] === "Z";
  } catch {
    // Gone between the two looks.
    return true;
  }
}

/** The fields after the name, which may itself hold spaces and brackets: state, parent, ... */
function stateOf(stat: string): string[] {
  return stat.slice(stat.lastIndexOf(")") + 2).split(" ");
}

/** Processes whose environment has this mark. Only Linux shows it; elsewhere the answer is empty. */
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

/** Of Linux's own files: a container often has no `ps`. */
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

/** Empty for a process that ended meanwhile or belongs to somebody else. */
async function readProc(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, "utf8").catch(() => "");
}

function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It ended by itself before the signal came, which is what the signal was for.
  }
}

async function gone(pids: readonly number[], limitMs: number): Promise<void> {
  const giveUpAtMs = Date.now() + limitMs;
  while (Date.now() < giveUpAtMs && pids.some(isAlive)) await sleep(LOOK_MS);
}

async function killTreeOnWindows(pid: number): Promise<void> {
  await run("taskkill", ["/pid", String(pid), "/T", "/F"], { timeout: LIST_LIMIT_MS }).catch((error: unknown) => {
    // 128: no such process, so there is nothing to end.
    if (!(error instanceof Error && "code" in error && error.code === 128)) throw error;
  });
}
