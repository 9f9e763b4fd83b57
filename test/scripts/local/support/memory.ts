import { readFile } from "node:fs/promises";
import { childrenOf } from "./processes.ts";

/** Resident bytes of all workerds below this process. */
export async function workerdMemory(): Promise<number> {
  const pids = await childrenOf(process.pid, "workerd");
  const sizes = pids.map(async (pid) => {
    const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => ""); // ended meanwhile
    return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024;
  });
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
