import { join } from "node:path";
import { runningHolder } from "../local/lock.ts";
import { childrenOf, readProc, socketsOf } from "../system/proc.ts";
import type { Finding } from "./finding.ts";

/** State of a socket that waits for connections (Linux, include/net/tcp_states.h). */
const LISTEN = "0A";

/** 127.0.0.1 as the kernel writes it: the bytes in host order, in hexadecimal. */
const LOOPBACK = "0100007F";

type Listener = { readonly pid: number; readonly port: number; readonly isLoopback: boolean };

/**
 * Checks what the processes of the running Operator listen on. Only the front may be reached from other computers; the Workers'
 * own ports must be on 127.0.0.1. Nothing is found where there is no /proc, as on macOS.
 */
export async function lookAtPorts(stateDir: string): Promise<Finding[]> {
  const holder = await runningHolder(join(stateDir, "lock.json"));
  if (holder === null || process.platform !== "linux") return [];
  const listeners = [holder.pid, ...childrenOf(holder.pid)].flatMap(listenersOf);
  const open = listeners.filter(({ isLoopback }) => !isLoopback);
  const wrong = open.filter(({ pid }) => pid !== holder.pid);
  if (wrong.length > 0)
    return [
      {
        level: "problem",
        says: `a Worker's own port can be reached from other computers: ${portsIn(wrong)}`,
        fix: "Close it in the firewall, and report this: only the front may listen there.",
      },
    ];
  const says =
    open.length === 0
      ? "no port can be reached from other computers"
      : `other computers can reach ${portsIn(open)}, and no other`;
  return [{ level: "ok", says }];
}

function portsIn(listeners: readonly Listener[]): string {
  const ports = new Set(listeners.map(({ port }) => port));
  return `port ${[...ports].toSorted((a, b) => a - b).join(", ")}`;
}

function listenersOf(pid: number): Listener[] {
  const inodes = new Set(socketsOf(pid));
  return ["tcp", "tcp6"].flatMap((table) =>
    readProc(`${pid}/net/${table}`)
      .split("\n")
      .slice(1)
      .flatMap((line) => {
        const [, local = "", , state, , , , , , inode = ""] = line.trim().split(/\s+/);
        if (state !== LISTEN || !inodes.has(inode)) return [];
        const [host = "", port = ""] = local.split(":");
        return [{ pid, port: Number.parseInt(port, 16), isLoopback: host === LOOPBACK }];
      }),
  );
}
