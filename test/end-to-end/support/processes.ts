import { randomUUID } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";

/** In the environment of this process, so that all its descendants have it too, whatever process becomes their parent later. */
const MARK = "END_TO_END_RUN"; // without OPERATOR_, which children are not given
const RUN = randomUUID();
process.env[MARK] = RUN;

export type Process = { readonly pid: number; readonly command: string };

/** All processes that this one has started, however far down, and that run now. */
export function startedHere(): Process[] {
  const found: Process[] = [];
  for (const entry of readdirSync("/proc")) {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    const environment = read(`/proc/${pid}/environ`);
    if (environment.includes(`${MARK}=${RUN}`))
      found.push({ pid, command: read(`/proc/${pid}/cmdline`).replaceAll("\0", " ").trim() });
  }
  return found;
}

/** The processes that a stopped Operator leaves behind, except two that belong to this process and end with it. */
export function leftBehind(): Process[] {
  return startedHere().filter(
    // esbuild's service, one a process, which bundles the Workers; and the shell that reaps workerds if we are killed.
    ({ command }) => !/esbuild\S* --service=/.test(command) && !command.includes(`kill -9 "$p"`) && command !== "",
  );
}

/** Resident memory, in bytes; 0 when the process is gone. */
export function memoryOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1] ?? 0) * 1024;
}

function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it ended meanwhile, or it is somebody else's
  }
}
