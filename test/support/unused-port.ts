import { isFree } from "../../scripts/system/ports.ts";

/**
 * Below the ports that Operator gives to its own programs and below every ephemeral port, so that nothing takes a port in the seconds between
 * its choice and the start of the program that was told of it.
 */
const LOWEST_PORT = 10_000;

/** Ports that each of Vitest's processes has for itself. They count from 1. */
const PORTS_OF_PROCESS = 1_000;

let taken = 0;

/** A port on 127.0.0.1 for a program that must be told its port before it starts. None is given twice in a process. */
export async function unusedPort(): Promise<number> {
  const first = LOWEST_PORT + (Number(process.env["VITEST_POOL_ID"] ?? 1) % 10) * PORTS_OF_PROCESS;
  while (taken < PORTS_OF_PROCESS) {
    const port = first + taken;
    taken += 1;
    if (await isFree(port)) return port;
  }
  throw new Error(`no port is left from ${first} on`);
}
