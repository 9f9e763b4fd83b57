import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";

const PS_TIMEOUT_MS = 2_000;

/** Characters of the boot's random id: enough that two boots never share them. */
const BOOT_CHARACTERS = 8;

/** Dead: a zombie, whose parent has not waited for it and in a container without an init never will; or almost gone. */
const DEAD_STATES: ReadonlySet<string> = new Set(["Z", "X", "x"]);

/** What the system says of a process. `started`: when it was started, in the system's own words; `null`: it does not say. */
export type ProcessLife = { readonly isAlive: boolean; readonly started: string | null };

const DEAD: ProcessLife = { isAlive: false, started: null };

/**
 * Whether a process lives, and since when. A number alone proves nothing: a process that was killed keeps it for as long as
 * its parent does not wait for it, and once it is free another program gets it.
 */
export function lifeOf(pid: number): ProcessLife {
  try {
    process.kill(pid, 0);
  } catch (reason) {
    // EPERM: it lives, under another user.
    if (!(reason instanceof Error && "code" in reason && reason.code === "EPERM")) return DEAD;
  }
  if (process.platform === "win32") return { isAlive: true, started: null };
  return process.platform === "linux" ? lifeInProc(pid) : lifeByPs(pid);
}

/** Whether two descriptions are of one start. An older codez wrote them without the boot. */
export function isSameStart(held: string, now: string): boolean {
  return held === now || now.endsWith(`:${held}`);
}

function lifeInProc(pid: number): ProcessLife {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return lifeByPs(pid); // it ended just now, or /proc is not mounted
  }
  // Fields 3 and 22 (proc(5)). The command in field 2 may hold blanks and brackets, but nothing after it does.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  if (DEAD_STATES.has(fields[0] ?? "")) return DEAD;
  const ticks = fields[19];
  return { isAlive: true, started: ticks === undefined ? null : `${bootId()}:${ticks}` };
}

/** The start is counted from the boot, and services start at the same tick, with the same number, boot after boot. */
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
    // It exits with 1 when there is no such process. Without a ps at all the number has to do.
    const isMissing = reason instanceof Error && "code" in reason && reason.code === "ENOENT";
    return isMissing ? { isAlive: true, started: null } : DEAD;
  }
  const [state = "", ...started] = line.split(/\s+/);
  return DEAD_STATES.has(state[0] ?? "") ? DEAD : { isAlive: true, started: started.join(" ") || null };
}
