import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const PS_TIMEOUT_MS = 2_000;

/** Characters that are kept of the boot's random id, enough to tell boots apart. */
const BOOT_CHARACTERS = 8;

/**
 * States of a dead process: a zombie, for which its parent has not waited (and in a container without an init never will), or
 * one about to vanish.
 */
const DEAD_STATES: ReadonlySet<string> = new Set(["Z", "X", "x"]);

/** What the system knows about a process. `started`: its start time in the system's own format; `null` if it is not available. */
export type ProcessLife = { readonly isAlive: boolean; readonly started: string | null };

const DEAD: ProcessLife = { isAlive: false, started: null };

/**
 * Whether a process is alive, and when it was started. The id alone proves nothing: a killed process keeps its id until its parent
 * waits for it, and after that another program may get the id.
 */
export function lifeOf(pid: number): ProcessLife {
  try {
    process.kill(pid, 0);
  } catch (reason) {
    // EPERM: the process is alive and belongs to another user.
    if (!(reason instanceof Error && "code" in reason && reason.code === "EPERM")) return DEAD;
  }
  if (process.platform === "win32") return { isAlive: true, started: null };
  return process.platform === "linux" ? lifeInProc(pid) : lifeByPs(pid);
}

/** Whether two start times are of the same process. An older codez wrote them without the id of the boot. */
export function isSameStart(held: string, now: string): boolean {
  return held === now || now.endsWith(`:${held}`);
}

function lifeInProc(pid: number): ProcessLife {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return lifeByPs(pid); // the process has just ended, or /proc is not mounted
  }
  // Fields 3 and 22 (proc(5)). The command in field 2 may contain spaces and brackets, but no later field does.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (DEAD_STATES.has(fields[0] ?? "")) return DEAD;
  const ticks = fields[19];
  return { isAlive: true, started: ticks === undefined ? null : `${bootId()}:${ticks}` };
}

/**
 * The id of the current boot. Start times count from the boot, and a service often starts at the same tick and with the same
 * process id at every boot.
 */
function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").slice(0, BOOT_CHARACTERS);
  } catch {
    return "";
  }
}

function lifeByPs(pid: number): ProcessLife {
  let line: string;
  try {
    line = execFileSync("ps", ["-o", "stat=,lstart=", "-p", `${pid}`], {
      timeout: PS_TIMEOUT_MS,
      encoding: "utf8",
    }).trim();
  } catch (reason) {
    // `ps` exits with 1 when there is no such process. Where `ps` is missing, the process id has to be enough.
    const isMissing = reason instanceof Error && "code" in reason && reason.code === "ENOENT";
    return isMissing ? { isAlive: true, started: null } : DEAD;
  }
  const [state = "", ...started] = line.split(/\s+/);
  return DEAD_STATES.has(state[0] ?? "") ? DEAD : { isAlive: true, started: started.join(" ") || null };
}
