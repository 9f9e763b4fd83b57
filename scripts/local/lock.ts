import { execFile } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { readFile, rename, rm, writeFile } from "node:fs/promises";
import { promisify } from "node:util";
import * as z from "zod";
import { lifeOf } from "../system/process-start.ts";
import { isMissing, readFileIfAny, writeFileAtomically } from "./file.ts";

const Holder = z.object({
  pid: z.int(),
  born: z.string(),
  url: z.string(),
  /** The gate's Unix socket, for this user's own programs. */
  gate: z.string().optional(),
});
export type Holder = z.infer<typeof Holder>;

export class AlreadyRunning extends Error {
  override name = "AlreadyRunning";
  readonly holder: Holder;

  constructor(holder: Holder) {
    super(`Operator is already running here: ${holder.url} (process ${holder.pid})`);
    this.holder = holder;
  }
}

export interface Lock {
  /** Says where it can be reached, once that is known. */
  announce(where: { readonly url: string; readonly gate: string }): Promise<void>;
  /** Also done when the process exits. */
  release(): void;
}

/** One Operator to a state folder: two would write the same databases. @throws AlreadyRunning */
export async function takeLock(path: string): Promise<Lock> {
  const born = await birthOf(process.pid);
  const mine: Holder = { pid: process.pid, born: born ?? "", url: "starting" };
  for (;;) {
    try {
      await writeFile(path, JSON.stringify(mine), { flag: "wx", mode: 0o600 });
      break;
    } catch (error) {
      if (!(error instanceof Error && "code" in error)) throw error;
      if (error.code === "ENOSPC") await rm(path, { force: true }); // it was made, and nothing went into it
      if (error.code !== "EEXIST") throw error;
    }
    const holder = await readHolder(path);
    if (holder && (await isAlive(holder))) throw new AlreadyRunning(holder);
    await discard(path);
  }
  const release = () => {
    process.off("exit", release);
    removeOwn(path, mine);
  };
  process.on("exit", release);
  return { announce: (where) => writeFileAtomically(path, JSON.stringify({ ...mine, ...where })), release };
}

/** Who runs with a state folder now; `null` when nobody does. */
export async function runningHolder(path: string): Promise<Holder | null> {
  const holder = await readHolder(path);
  return holder !== null && (await isAlive(holder)) ? holder : null;
}

function removeOwn(path: string, mine: Holder): void {
  try {
    const { pid, born } = Holder.parse(JSON.parse(readFileSync(path, "utf8")));
    if (pid === mine.pid && born === mine.born) rmSync(path);
  } catch {
    // Somebody removed the lock, or the whole state folder: there is nothing left to release.
  }
}

async function readHolder(path: string): Promise<Holder | null> {
  const text = await readFileIfAny(path);
  try {
    return Holder.parse(JSON.parse(text ?? ""));
  } catch {
    return null; // cut short by a crash: nobody holds it
  }
}

async function isAlive({ pid, born }: Holder): Promise<boolean> {
  // A killed process keeps its number, and its birth, until somebody waits for it: in a container perhaps never.
  return lifeOf(pid).isAlive && (await birthOf(pid)) === born;
}

/** Takes a stale lock away. By renaming, which succeeds for one of two that try at once. */
async function discard(path: string): Promise<void> {
  const aside = `${path}.${process.pid}.stale`;
  try {
    await rename(path, aside);
    await rm(aside);
  } catch (error) {
    if (!isMissing(error)) throw error;
  }
}

/** When a process began, in words that tell it from a later one with the same id; null when there is none. */
async function birthOf(pid: number): Promise<string | null> {
  try {
    if (process.platform === "linux") {
      const stat = await readFile(`/proc/${pid}/stat`, "utf8");
      const boot = await readFile("/proc/sys/kernel/random/boot_id", "utf8");
      // Field 22; the second one, the command, may hold spaces, so count from its closing bracket.
      return `${boot.trim()}/${stat.slice(stat.lastIndexOf(")") + 2).split(" ")[19]}`;
    }
    const { stdout } = await promisify(execFile)("ps", ["-o", "lstart=", "-p", String(pid)]);
    return stdout.trim() || null;
  } catch {
    return null; // no such process
  }
}
