import { setTimeout as sleep } from "node:timers/promises";
import { makeCall } from "./caller.ts";
import { eventually } from "./eventually.ts";
import { DAMAGE_FAULTS } from "./faults/damage.ts";
import type { Fault } from "./faults/fault.ts";
import { NETWORK_FAULTS } from "./faults/network.ts";
import { PROCESS_FAULTS } from "./faults/processes.ts";
import { READER_FAULTS } from "./faults/readers.ts";
import { STORAGE_FAULTS } from "./faults/storage.ts";
import { UPGRADE } from "./faults/upgrade.ts";
import { Follower } from "./follower.ts";
import type { Random } from "../system/random.ts";
import { Random as Stream } from "../system/random.ts";
import { Resources } from "./resources.ts";
import type { World } from "./world.ts";

export const FAULTS: readonly Fault[] = [
  ...NETWORK_FAULTS,
  ...PROCESS_FAULTS,
  UPGRADE,
  ...READER_FAULTS,
  ...STORAGE_FAULTS,
  ...DAMAGE_FAULTS,
];

/** Calls under way at once on each machine. */
const LANES = 2;

/** Limit from the end of a fault until each machine is listed as online and answers. */
const RETURN_LIMIT_MS = 15_000;

/** Time after the last fault for events that connectors had buffered to arrive. */
const EVENTS_LIMIT_MS = 60_000;

export type CampaignOptions = {
  readonly seed: number;
  readonly minutes: number;
  readonly faults: number | null;
  readonly only: readonly string[] | null;
  readonly say: (line: string) => void;
};

/** Keeps calls and events going while it injects one fault after the other. Resolves when everything has recovered. */
export async function runCampaign(world: World, options: CampaignOptions): Promise<Resources> {
  const { ledger, operator, machines } = world;
  const follower = new Follower(operator, ledger);
  await follower.begin();
  const resources = new Resources(world);
  resources.look();
  const over = new AbortController();
  const following = follower.run();
  const calling = machines.flatMap((machine) =>
    Array.from({ length: LANES }, async (_, lane) => {
      const random = new Stream(options.seed, `calls of ${machine.name} ${lane}`);
      while (!over.signal.aborted) {
        await makeCall(operator, machine, ledger, random);
        await sleep(random.integer(0, 100));
      }
    }),
  );
  const telling = (async () => {
    while (!over.signal.aborted) {
      for (const { server } of machines) server.tell();
      await sleep(200);
    }
  })();

  const random = new Stream(options.seed, "faults");
  const faults = FAULTS.filter(({ name }) => options.only?.some((part) => name.includes(part)) ?? true).filter(
    (fault) => fault.isPossible?.(world) ?? true,
  );
  if (faults.length === 0)
    throw new Error(`no fault has that name; the faults are: ${FAULTS.map(({ name }) => name).join(", ")}`);
  for (const fault of drawn(faults, random, options)) {
    ledger.faults.set(fault.name, (ledger.faults.get(fault.name) ?? 0) + 1);
    options.say(`fault: ${fault.name}`);
    const affected = await fault.inject(world, random);
    await Promise.all(affected.map((name) => awaitReturn(world, fault.name, name)));
    resources.look();
    await sleep(random.integer(0, 1_000));
  }

  over.abort();
  await telling;
  await Promise.all(calling);
  await eventually(EVENTS_LIMIT_MS, () => ledger.disordered().every((problem) => !problem.includes("never came")));
  follower.stop();
  await following;
  resources.look();
  return resources;
}

async function awaitReturn(world: World, fault: string, name: string): Promise<void> {
  const seconds = await world.timeUntilServed(name, RETURN_LIMIT_MS);
  if (seconds !== null) return void world.ledger.returns.push({ fault, machine: name, seconds });
  const exitCode = world.machines.find((machine) => machine.name === name)?.exitCode ?? null;
  const why = exitCode === null ? "" : ` (codez connect ended with ${exitCode})`;
  world.ledger.violations.push(`after "${fault}", ${name} was not back within ${RETURN_LIMIT_MS / 1000} s${why}`);
  // Restart the machine, so that the following faults are not affected.
  if (exitCode !== null) world.machines.find((machine) => machine.name === name)?.connect();
}

/** Draws faults by weight until the time is over, or a given number of them, each kind once before any is repeated. */
function* drawn(
  faults: readonly Fault[],
  random: Random,
  { minutes, faults: count }: CampaignOptions,
): Generator<Fault> {
  if (count === null) {
    const untilMs = performance.now() + minutes * 60_000;
    while (performance.now() < untilMs) yield weighted(faults, random);
    return;
  }
  for (let deck: Fault[] = [], left = count; left > 0; left -= 1) {
    if (deck.length === 0) deck = [...faults];
    const fault = random.pick(deck);
    deck.splice(deck.indexOf(fault), 1);
    yield fault;
  }
}

function weighted(faults: readonly Fault[], random: Random): Fault {
  let left = random.next() * faults.reduce((sum, { weight }) => sum + weight, 0);
  for (const fault of faults) if ((left -= fault.weight) < 0) return fault;
  return random.pick(faults);
}
