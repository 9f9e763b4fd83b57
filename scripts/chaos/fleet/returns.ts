import { setTimeout as sleep } from "node:timers/promises";
import { pssMb } from "../processes.ts";
import { atShare } from "../share.ts";
import { ToolServer } from "../tool-server.ts";
import { World } from "../world.ts";
import { Fleet } from "./fleet.ts";

/** How long Operator is down: a restart, a restart with an update, an outage. */
const DOWNTIMES_MS = [0, 5_000, 20_000] as const;

const FIRST_LIMIT_MS = 120_000;

/** Far above what the return takes, so that a machine that is missing then has a fault. */
const RETURN_LIMIT_MS = 60_000;

/** One restart of Operator with a fleet connected to it. */
export type Return = {
  readonly downtimeMs: number;
  /** From its start until its first answer. */
  readonly startMs: number;
  /** Seconds from that answer until each machine's link was welcomed, sorted. */
  readonly seconds: readonly number[];
  /** Machines that did not come back, each with the last reason that its connector gave. */
  readonly missing: readonly string[];
  /** All of Operator's processes afterwards, as PSS. */
  readonly memoryMb: number;
};

/** Restarts an Operator with `machines` connected machines, once for each downtime. */
export async function measureReturns(machines: number, say: (line: string) => void): Promise<Return[]> {
  await using world = await World.build({ machines: 0, say });
  const server = new ToolServer("fleet", world.ledger);
  try {
    using fleet = await Fleet.build(world.operator, await server.start(), machines);
    if (!(await fleet.allOnline(FIRST_LIMIT_MS))) throw new Error(`not all machines came online: ${absent(fleet)}`);
    const returns: Return[] = [];
    for (const downtimeMs of DOWNTIMES_MS) returns.push(await measureReturn(world, fleet, downtimeMs));
    return returns;
  } finally {
    server.stop();
  }
}

/** The returns as a table. */
export function describeReturns(returns: readonly Return[]): string {
  const rows = returns.map(({ downtimeMs, startMs, seconds, missing, memoryMb }) =>
    [
      `${downtimeMs / 1000} s`.padStart(8),
      `${(startMs / 1000).toFixed(1)} s`.padStart(14),
      `${atShare(seconds, 0.5)} s`.padStart(9),
      `${atShare(seconds, 1)} s`.padStart(9),
      String(missing.length).padStart(9),
      `${memoryMb.toFixed(0)} MB`.padStart(9),
    ].join(""),
  );
  return [
    "    down  first answer   median  longest  missing   memory",
    ...rows,
    ...returns.flatMap((one) => one.missing),
  ].join("\n");
}

async function measureReturn({ operator }: World, fleet: Fleet, downtimeMs: number): Promise<Return> {
  await operator.stop();
  await sleep(downtimeMs);
  const beganMs = Date.now();
  await operator.start();
  const answeredMs = Date.now();
  await fleet.allOnline(RETURN_LIMIT_MS);
  return {
    downtimeMs,
    startMs: answeredMs - beganMs,
    seconds: [...fleet.onlineSinceMs.values()]
      .map((atMs) => (atMs - answeredMs) / 1000)
      .sort((one, other) => one - other),
    missing: absent(fleet),
    memoryMb: pssMb(operator.processes.map(({ pid }) => pid)),
  };
}

function absent({ machines, onlineSinceMs, reasons }: Fleet): string[] {
  const missing = machines.filter(({ name }) => !onlineSinceMs.has(name));
  return missing.map(({ name }) => `${name}: ${reasons.get(name) ?? "no reason given"}`);
}
