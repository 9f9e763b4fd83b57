import { readFile, readdir } from "node:fs/promises";

/** Ids of the processes of that name which a process has started. */
export async function childrenOf(parent: number, name: string): Promise<number[]> {
  const found: number[] = [];
  for (const pid of await readdir("/proc")) {
    if (!/^\d+$/.test(pid)) continue;
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""); // ended meanwhile
    if (status.includes(`Name:\t${name}\n`) && status.includes(`PPid:\t${parent}\n`) && !status.includes("State:\tZ"))
      found.push(Number(pid));
  }
  return found;
}

/** Whether a process exists and is not a zombie. */
export async function isRunning(pid: number): Promise<boolean> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return status !== "" && !status.includes("State:\tZ");
}
