import { runInDurableObject } from "cloudflare:test";
import { env } from "cloudflare:workers";
import { expect, test } from "vitest";
import { simulate } from "./simulation.ts";

const { STAGE, SIMULATE_SEED, SIMULATE_SEEDS, SIMULATE_PLANT } = env as unknown as {
  readonly STAGE: DurableObjectNamespace;
  /** The first seed, and how many (vitest.config.ts). */
  readonly SIMULATE_SEED: string;
  readonly SIMULATE_SEEDS: string;
  /** The name of the bug that is planted; empty if none is. That it is found is enough, without the shortest scenario. */
  readonly SIMULATE_PLANT: string;
};

/** As long as 100,000 seeds take. The suite's own take a minute at most. */
const TIMEOUT_MS = 3 * 60 * 60_000;

/** Tests every second seed, so that two isolates share the work. */
export function testSeeds(parity: 0 | 1): void {
  const [first, count] = [Number(SIMULATE_SEED), Number(SIMULATE_SEEDS)];
  const seeds = Array.from({ length: count }, (_, index) => first + index).filter((seed) => seed % 2 === parity);
  test.runIf(seeds.length > 0)(
    `the log, the sessions and presence stay true with ${seeds.length} seeds, whatever happens`,
    async () => {
      const broken = await runInDurableObject(STAGE.getByName("stage"), async (_, { storage }) => {
        for (const seed of seeds) {
          const found = await simulate(storage, seed, SIMULATE_PLANT === "");
          if (found !== null) return found;
        }
        return null;
      });
      if (broken !== null) throw new Error(broken);
      expect(broken).toBeNull();
    },
    TIMEOUT_MS,
  );
}
