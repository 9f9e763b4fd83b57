import { execFile } from "node:child_process";
import { randomUUID } from "node:crypto";
import { readFileSync, rmSync } from "node:fs";
import { link, readFile, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import * as z from "zod";
import { Lock as SystemLock } from "../system/lock.ts";
import { lifeOf } from "../system/process-start.ts";
import { readFileIfAny, writeFileAtomically } from "./file.ts";

const Holder = z.object({
  pid: z.int(),
  born: z.string(),
  url: z.string(),
  /** The gate's Unix socket, for this user's own programs. */
  gate: z.string().optional(),
  /** The release that runs. Releases before 0.3 did not say. */
  version: z.string().optional(),
});
export type Holder = z.infer<typeof Holder>;

/** Starts that could end between two looks at their lock. More than this many in a row are something else. */
const MAX_TRIES = 100;

/** The address of an Operator that has none yet. */
const STARTING = "starting";

export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
  readonly holder: Holder;

  constructor(holder: Holder) {
    super(
      `Operator is already running here: ${holder.url} (process ${holder.pid}). Use that one, or stop it first: kill ${holder.pid}`,
    );
    this.holder = holder;
  }
}

export interface Lock {
  /** Adds the addresses to the lock file once Operator runs, so that `operator status` and a second start find it. */
  announce(where: { readonly url: string; readonly gate: string; readonly version: string }): Promise<void>;
  /** Called automatically when the process exits. */
  release(): void;
}

/**
 * Makes sure that one state folder has at most one Operator: two would write the same databases. The lock is a file that is
 * created exclusively, complete with its holder's pid and start time. If that process no longer runs, one process replaces it.
 * @throws AlreadyRunning
 */
export async function takeLock(path: string): Promise<Lock> {
  const born = await birthOf(process.pid);
  const mine: Holder = { pid: process.pid, born: born ?? "", url: STARTING };
  for (let tries = 1; !(await tryCreate(path, JSON.stringify(mine))); tries += 1) {
    const left = await readFileIfAny(path);
    if (left === null && tries < MAX_TRIES) continue; // its holder has released it
    if (left === null) throw new Error(`${path} cannot be read, though it is there: a link to nothing? Remove it.`);
    const holder = holderIn(left);
    if (holder && (await isAlive(holder))) throw new AlreadyRunning(holder);
    if (await tryReplace(path, left, JSON.stringify(mine))) break;
  }
  const release = () => {
    process.off("exit", release);
    removeOwn(path, mine);
  };
  process.on("exit", release);
  return { announce: (where) => writeFileAtomically(path, JSON.stringify({ ...mine, ...where })), release };
}

/** The Operator that runs with this lock; `null` if none does. */
export async function runningHolder(path: string): Promise<Holder | null> {
  const holder = await readHolder(path);
  return holder !== null && (await isAlive(holder)) ? holder : null;
}

function removeOwn(path: string, mine: Holder): void {
  try {
    const { pid, born } = Holder.parse(JSON.parse(readFileSync(path, "utf8")));
    if (pid === mine.pid && born === mine.born) rmSync(path);
  } catch {
    // The lock file, or the whole state folder, was removed: there is nothing to release.
  }
}

async function readHolder(path: string): Promise<Holder | null> {
  return holderIn((await readFileIfAny(path)) ?? "");
}

function holderIn(text: string): Holder | null {
  try {
    return Holder.parse(JSON.parse(text));
  } catch {
    return null; // there is no file, or a crash left it incomplete: nobody holds the lock
  }
}

async function isAlive({ pid, born }: Holder): Promise<boolean> {
  // A killed process stays in the process table as a zombie until its parent waits for it, in a container perhaps never.
  // lifeOf() reports a zombie as dead. The start time tells a new process that was given the same pid.
  return lifeOf(pid).isAlive && (await birthOf(pid)) === born;
}

/** Creates the file with its whole content, unless there is one. */
async function tryCreate(path: string, content: string): Promise<boolean> {
  const draft = `${path}.${randomUUID()}.new`;
  try {
    await writeFile(draft, content, { mode: 0o600 });
    await link(draft, path);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Replaces what a dead holder left, unless another process has done so.
 * @throws AlreadyRunning when another process is about to
 */
async function tryReplace(path: string, left: string, content: string): Promise<boolean> {
  const right = SystemLock.toReplace(path, left);
  if (!(right instanceof SystemLock)) throw new AlreadyRunning({ pid: right.pid, born: "", url: STARTING });
  try {
    if ((await readFileIfAny(path)) !== left) return false;
    await writeFileAtomically(path, content);
    return true;
  } finally {
    right.release();
  }
}

/** A process's start time, as text that differs from that of any later process with the same pid; null if there is no such process. */
async function birthOf(pid: number): Promise<string | null> {
  try {
    if (process.platform === "linux") {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
      // Field 22, in clock ticks since boot. Field 2, the command, may contain spaces, so count from its closing bracket.
      return `${boot.trim()}/${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
    }
    const { stdout } = await promisify(execFile)("ps", ["-o", "lstart=", "-p", String(pid)]);
    return stdout.trim() || null;
  } catch {
    return null; // no such process
  }
}
