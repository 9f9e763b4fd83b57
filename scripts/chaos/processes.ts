import { readdirSync, readFileSync } from "node:fs";
import { pssOf } from "../system/proc.ts";

export type Process = {
  readonly pid: number;
  /** Start time in clock ticks since boot. It tells a new process with a reused pid from the old one. */
  readonly startTicks: string;
  readonly command: string;
  readonly isWorkerd: boolean;
};

/** A process and all its descendants, without zombies. Linux only, like the campaigns. */
export function tree(root: number): Process[] {
  const all = list("/proc").flatMap((entry) => {
    const fields = Number.isInteger(Number(entry)) ? fieldsOf(Number(entry)) : null;
    return fields === null ? [] : [{ pid: Number(entry), ...fields }];
  });
  const found = new Set([root]);
  for (let before = 0; before < found.size;) {
    before = found.size;
    for (const { pid, parent } of all) if (found.has(parent)) found.add(pid);
  }
  return all
    .filter(({ pid, state }) => found.has(pid) && state !== "Z")
    .map(({ pid, startTicks }) => {
      const command = read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim();
      return { pid, startTicks, command, isWorkerd: /workerd\S* (?:serve|test)\b/.test(command) };
    });
}

/** Whether exactly this process still runs, even if it has another parent now. */
export function isRunning({ pid, startTicks }: Process): boolean {
  const fields = fieldsOf(pid);
  return fields !== null && fields.startTicks === startTicks && fields.state !== "Z";
}

/** Memory of processes in megabytes as PSS: a page that several processes share is counted once. */
export function pssMb(pids: readonly number[]): number {
  return pids.reduce((bytes, pid) => bytes + (pssOf(pid) ?? 0), 0) / 1024 ** 2;
}

/** Open file descriptors of processes. */
export function descriptors(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + list(`/proc/${pid}/fd`).length, 0);
}

/** Sends a signal. It is not an error if the process has already ended. */
export function signal(pid: number, name: NodeJS.Signals): void {
  try {
    process.kill(pid, name);
  } catch {
    // It has ended.
  }
}

/** State, parent and start time (proc_pid_stat(5)); the name before them may hold spaces and brackets. */
function fieldsOf(pid: number): { state: string; parent: number; startTicks: string } | null {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === "") return null;
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", parent: Number(fields[1]), startTicks: fields[19] ?? "" };
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it ended meanwhile, or belongs to somebody else
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return []; // as above
  }
}
