import { readdirSync, readFileSync } from "node:fs";

export type Process = {
  readonly pid: number;
  /** In clock ticks since the computer's start: with it a number that was given again is not taken for the old process. */
  readonly startTicks: string;
  readonly command: string;
  readonly isWorkerd: boolean;
};

/** A process and all that descend from it, zombies left out. Linux only, as the campaigns are. */
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

/** Whether this very process still runs, even if its parent has changed. */
export function isRunning({ pid, startTicks }: Process): boolean {
  const fields = fieldsOf(pid);
  return fields !== null && fields.startTicks === startTicks && fields.state !== "Z";
}

/** Proportional memory of processes in megabytes: pages that several share are counted once. */
export function pssMb(pids: readonly number[]): number {
  let kilobytes = 0;
  for (const pid of pids) kilobytes += Number(/^Pss:\s+(\d+)/m.exec(read(`/proc/${pid}/smaps_rollup`))?.[1] ?? 0);
  return kilobytes / 1024;
}

/** Open file descriptors of processes. */
export function descriptors(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + list(`/proc/${pid}/fd`).length, 0);
}

/** Sends a signal; a process that ended meanwhile is no failure. */
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
