import { parseArgs } from "node:util";

export const HELP = `Breaks a real Operator on purpose and checks what must hold.

  npm run chaos -- [--minutes <n> | --faults <n>] [--seed <n>] [--machines <n>] [--only <fault,fault>] [--verbose]
  npm run chaos -- --fleet <n>

  --minutes   how long faults are injected (default 5)
  --faults    number of faults instead of a time; each kind once before any is repeated
  --seed      repeats a run's faults and calls (default: the clock's)
  --machines  machines with a connector process each (default 4)
  --only      just these faults, by name
  --fleet     instead: restarts Operator with this many connected machines, and measures when each is back
  --verbose   print what Operator and the connectors say

Ends with a table of invariants; the exit code is 1 when one was broken.`;

export type Options = {
  readonly minutes: number;
  /** Number of faults; `null`: as many as the time allows. */
  readonly faults: number | null;
  readonly seed: number;
  readonly machines: number;
  /** Names of faults; `null`: all. */
  readonly only: readonly string[] | null;
  /** Machines of a fleet whose return is measured instead of a campaign; `null`: a campaign. */
  readonly fleet: number | null;
  readonly verbose: boolean;
  readonly help: boolean;
};

/** @throws Error with a message for the person who typed the command */
export function readOptions(args: readonly string[]): Options {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string", default: "5" },
      faults: { type: "string" },
      seed: { type: "string" },
      machines: { type: "string", default: "4" },
      only: { type: "string" },
      fleet: { type: "string" },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", short: "h", default: false },
    },
  });
  const minutes = Number(values.minutes);
  if (!(minutes > 0)) throw new Error(`--minutes takes a positive number, not "${values.minutes}"`);
  const faults = values.faults === undefined ? null : Number(values.faults);
  if (faults !== null && !(Number.isInteger(faults) && faults > 0))
    throw new Error(`--faults takes a positive whole number, not "${values.faults}"`);
  const machines = Number(values.machines);
  if (!isFleet(machines)) throw new Error(`--machines takes a whole number from 1 to 200, not "${values.machines}"`);
  const fleet = values.fleet === undefined ? null : Number(values.fleet);
  if (fleet !== null && !isFleet(fleet))
    throw new Error(`--fleet takes a whole number from 1 to 200, not "${values.fleet}"`);
  const seed = values.seed === undefined ? Date.now() % 2 ** 31 : Number(values.seed);
  if (!Number.isInteger(seed) || seed < 0) throw new Error(`--seed takes a whole number, not "${values.seed}"`);
  const only = values.only === undefined ? null : values.only.split(",").filter(Boolean);
  return { minutes, faults, seed, machines, only, fleet, verbose: values.verbose, help: values.help };
}

function isFleet(count: number): boolean {
  return Number.isInteger(count) && count >= 1 && count <= 200;
}
