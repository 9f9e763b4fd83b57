import { readFileSync } from "node:fs";

/** Linux counts CPU in hundredths of a second (`getconf CLK_TCK`). */
const TICK_MS = 10;

/** CPU milliseconds that processes have used so far, or `null` where there is no /proc. */
export function cpuMs(pids: readonly number[]): number | null {
  let total = 0;
  for (const pid of pids) {
    const stat = read(`/proc/${pid}/stat`);
    if (stat === null) return null;
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    total += (Number(fields[11]) + Number(fields[12])) * TICK_MS;
  }
  return total;
}

/** Memory of processes, in megabytes: the sum of their resident sets. */
export function memoryMb(pids: readonly number[]): number | null {
  let total = 0;
  for (const pid of pids) {
    const status = read(`/proc/${pid}/status`);
    if (status === null) return null;
    total += Number(/VmRSS:\s+(\d+)/.exec(status)?.[1] ?? 0) / 1024;
  }
  return total;
}

/** A process and all it started, by /proc. */
export function tree(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`)?.trim().split(/\s+/).filter(Boolean).map(Number) ?? [];
  return [pid, ...children.flatMap((child) => tree(child))];
}

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null; // no /proc here, or the process has ended: the figure is left out
  }
}
