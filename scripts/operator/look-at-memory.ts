import { join } from "node:path";
import { runningHolder } from "../local/lock.ts";
import { childrenOf, pssOf, readProc, socketsOf } from "../system/proc.ts";
import type { Finding } from "./finding.ts";

/** Bytes of memory by part of a running Operator. Pages that processes share are divided among them (PSS). */
export type Memory = { readonly front: number; readonly gate: number; readonly scripts: readonly number[] };

/** The memory of the Operator that uses this state folder; `null` when none runs, or where there is no /proc, as on macOS. */
export async function memoryOf(stateDir: string): Promise<Memory | null> {
  const holder = await runningHolder(join(stateDir, "lock.json"));
  const front = holder === null ? null : pssOf(holder.pid);
  if (holder === null || front === null) return null;
  const gateInode = holder.gate === undefined ? null : inodeOf(holder.gate);
  let gate = 0;
  const scripts: number[] = [];
  for (const pid of childrenOf(holder.pid)) {
    const bytes = pssOf(pid);
    if (bytes === null || !readProc(`${pid}/cmdline`).includes("workerd")) continue;
    if (gateInode !== null && socketsOf(pid).includes(gateInode)) gate = bytes;
    else scripts.push(bytes);
  }
  return { front, gate, scripts };
}

/** The memory as a finding for `operator status`. */
export function describeMemory({ front, gate, scripts }: Memory): Finding {
  const machines = scripts.reduce((sum, bytes) => sum + bytes, 0);
  const each = scripts.length === 0 ? "" : `, ${megabytes(machines / scripts.length)} each`;
  const parts = `front ${megabytes(front)}, gate ${megabytes(gate)}, ${scripts.length} running machine scripts ${megabytes(machines)}${each}`;
  return { level: "ok", says: `memory ${megabytes(front + gate + machines)}: ${parts}` };
}

function megabytes(bytes: number): string {
  return `${(bytes / 1024 / 1024).toFixed(0)} MB`;
}

/** The inode of the Unix socket that listens at this path. */
function inodeOf(path: string): string | null {
  const line = readProc("net/unix")
    .split("\n")
    .find((one) => one.endsWith(` ${path}`));
  return line?.trim().split(/\s+/)[6] ?? null;
}
