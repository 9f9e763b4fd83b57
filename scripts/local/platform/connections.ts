import { readFile } from "node:fs/promises";

/** State of a socket that waits for connections (Linux, include/net/tcp_states.h). */
const LISTEN = "0A";

/**
 * The ports on this computer with a TCP connection, as far as the kernel remembers: open ones, and those that were closed within
 * the last minute (TIME_WAIT). `null` where the kernel does not say it, as on macOS.
 */
export async function connectedPorts(table = "/proc/net/tcp"): Promise<ReadonlySet<number> | null> {
  let text: string;
  try {
    text = await readFile(table, "utf8");
  } catch {
    return null; // not Linux, or a container that hides it
  }
  const ports = new Set<number>();
  for (const line of text.split("\n").slice(1)) {
    const [, local = "", remote = "", state] = line.trim().split(/\s+/);
    if (state === undefined || state === LISTEN) continue;
    for (const address of [local, remote]) ports.add(Number.parseInt(address.split(":")[1] ?? "", 16));
  }
  return ports;
}
