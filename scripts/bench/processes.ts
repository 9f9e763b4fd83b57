import { readdirSync, readFileSync, readlinkSync } from "node:fs";

/** Linux counts CPU in hundredths of a second (`getconf CLK_TCK`). */
const TICK_MS = 10;

/** The state LISTEN in /proc/net/tcp. */
const LISTEN = "0A";

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

/** A process and all its descendants, by /proc. */
export function tree(pid: number): number[] {
  const threads = list(`/proc/${pid}/task`);
  const children = threads.flatMap(
    (thread) => read(`/proc/${pid}/task/${thread}/children`)?.trim().split(/\s+/).filter(Boolean).map(Number) ?? [],
  );
  return [pid, ...children.flatMap((child) => tree(child))];
}

/** Whether a process runs workerd, by the name of its executable. */
export function isWorkerd(pid: number): boolean {
  return read(`/proc/${pid}/comm`)?.trim() === "workerd";
}

/** The TCP ports on which a process listens. */
export function listeningPorts(pid: number): number[] {
  const sockets = new Set(list(`/proc/${pid}/fd`).map((fd) => link(`/proc/${pid}/fd/${fd}`)));
  const rows = read(`/proc/${pid}/net/tcp`)?.trim().split("\n").slice(1) ?? [];
  return rows.flatMap((row) => {
    const [, local = "", , state, , , , , , inode] = row.trim().split(/\s+/);
    const port = Number.parseInt(local.split(":")[1] ?? "", 16);
    return state === LISTEN && sockets.has(`socket:[${inode}]`) ? [port] : [];
  });
}

// Without /proc, or when the process has ended, these three return nothing and the figure is left out.

function read(path: string): string | null {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return null;
  }
}

function list(path: string): string[] {
  try {
    return readdirSync(path);
  } catch {
    return [];
  }
}

function link(path: string): string | null {
  try {
    return readlinkSync(path);
  } catch {
    return null;
  }
}
