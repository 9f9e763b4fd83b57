import { execFileSync } from "node:child_process";
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync, mkdirSync } from "node:fs";
import { dirname } from "node:path";
import * as z from "zod";

/** What a running connector says of itself beside its profile, for a second one and for `codez status`. */
const Holder = z.object({
  pid: z.int().positive(),
  /** The process's own start as the system tells it: a process id alone may be another program's by now. */
  started: z.string().nullable(),
  sinceMs: z.int(),
  state: z.enum(["connecting", "online", "offline"]),
  detail: z.string(),
});
export type Holder = z.infer<typeof Holder>;

const PS_TIMEOUT_MS = 2_000;

/** One connector per profile. Held by a file with the holder's process; a holder that died holds nothing. */
export class Lock {
  readonly #path: string;
  #holder: Holder;

  private constructor(path: string, holder: Holder) {
    this.#path = path;
    this.#holder = holder;
  }

  /** Takes the lock, or answers who has it. */
  static take(path: string): Lock | Holder {
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    const holder: Holder = {
      pid: process.pid,
      started: startOf(process.pid),
      sinceMs: Date.now(),
      state: "connecting",
      detail: "",
    };
    const fresh = `${path}.${process.pid}.new`;
    writeFileSync(fresh, JSON.stringify(holder), { mode: 0o600 });
    try {
      // A link is made by one of several, even when they try at the same moment.
      for (;;) {
        if (tryLink(fresh, path)) return new Lock(path, holder);
        const present = holderOf(path);
        if (present !== null) return present;
        discard(path);
      }
    } finally {
      rmSync(fresh, { force: true });
    }
  }

  say(state: Holder["state"], detail: string): void {
    this.#holder = { ...this.#holder, state, detail };
    const fresh = `${this.#path}.${process.pid}.new`;
    writeFileSync(fresh, JSON.stringify(this.#holder), { mode: 0o600 });
    renameSync(fresh, this.#path);
  }

  release(): void {
    rmSync(this.#path, { force: true });
  }
}

/** Who holds the lock now; `null`: nobody who is alive. */
export function holderOf(path: string): Holder | null {
  let parsed;
  try {
    parsed = Holder.safeParse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return null; // no file, or none that a connector wrote: nobody holds it
  }
  return parsed.success && isAlive(parsed.data) ? parsed.data : null;
}

function isAlive({ pid, started }: Holder): boolean {
  try {
    process.kill(pid, 0);
  } catch (reason) {
    // EPERM: it lives, under another user.
    if (!(reason instanceof Error && "code" in reason && reason.code === "EPERM")) return false;
  }
  const now = startOf(pid);
  return started === null || now === null || now === started;
}

/** When a process started, in whatever words the system has for it; `null` when it has none. */
function startOf(pid: number): string | null {
  try {
    // Field 22 (proc(5)); the command in field 2 may hold blanks and brackets, but nothing after it does.
    return readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ")[19] ?? null;
  } catch {
    return startByPs(pid); // no /proc: not Linux
  }
}

function startByPs(pid: number): string | null {
  if (process.platform === "win32") return null;
  try {
    return execFileSync("ps", ["-o", "lstart=", "-p", `${pid}`], { timeout: PS_TIMEOUT_MS, encoding: "utf8" }).trim();
  } catch {
    return null; // no such process, or no ps: the process id has to do
  }
}

function tryLink(fresh: string, path: string): boolean {
  try {
    linkSync(fresh, path);
    return true;
  } catch (reason) {
    if (reason instanceof Error && "code" in reason && reason.code === "EEXIST") return false;
    throw reason;
  }
}

/** Takes a dead holder's file away, unless another has just done so and taken the lock: then it is put back. */
function discard(path: string): void {
  const aside = `${path}.${process.pid}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return; // somebody else took it away
  }
  if (holderOf(aside) !== null) tryLink(aside, path);
  rmSync(aside, { force: true });
}
