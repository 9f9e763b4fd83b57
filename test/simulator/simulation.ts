import * as fc from "fast-check";
import { perform, scenarios, type Step } from "./action.ts";
import { kernel } from "./runtime/kernel.ts";
import { World } from "./world.ts";

/** Runs one scenario to its end. Throws what was broken. */
async function run(storage: DurableObjectStorage, steps: readonly Step[]): Promise<void> {
  const world = new World(storage.sql);
  try {
    await world.begin();
    for (const step of steps) {
      await perform(world, step);
      await world.pump();
    }
    await world.rest();
  } finally {
    world.end();
    // Calls that this has stopped fail now, and not during the next run. If anything still does not come to rest, the run has failed
    // for that already, and it is not counted in the next one.
    await kernel.settle().catch(() => undefined);
  }
}

/** What one seed showed: `null`, or the shortest scenario that was found for what it broke. */
export async function simulate(storage: DurableObjectStorage, seed: number, isShrunk = true): Promise<string | null> {
  const details = await fc.check(
    fc.asyncProperty(scenarios, (steps) => run(storage, steps)),
    { seed, numRuns: 1, endOnFailure: !isShrunk, interruptAfterTimeLimit: 60_000 },
  );
  if (!details.failed) return null;
  const [steps] = details.counterexample ?? [[]];
  const reason =
    details.errorInstance instanceof Error
      ? (details.errorInstance.stack ?? details.errorInstance.message)
      : String(details.errorInstance);
  return [
    `seed ${seed}: ${reason}`,
    `replay it with: npm run simulate -- --seed ${seed}`,
    ...steps.map((step) => `  ${JSON.stringify(step)}`),
    "the console of the last run:",
    ...kernel.lines.slice(-20),
  ].join("\n");
}
