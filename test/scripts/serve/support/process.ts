import { readdirSync, readFileSync } from "node:fs";

/** Processes of a test machine, by the home in their environment; only Linux shows it. */
export function processesOf(home: string, except: number): number[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === except) return [];
    return read(`/proc/${pid}/environ`).includes(`HOME=${home}\0`) ? [pid] : [];
  });
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return !isZombie(pid);
  } catch {
    return false;
  }
}

/** Killed, and not yet waited for by a parent that is itself gone: in a container without an init it stays so. */
function isZombie(pid: number): boolean {
  return / Z /.test(read(`/proc/${pid}/stat`).replace(/\(.*\)/s, ""));
}

/** How a process was called; empty once it has ended. */
export function commandLineOf(pid: number): string {
  return read(`/proc/${pid}/cmdline`);
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
