import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";
import { PLANTS } from "./plants.ts";

/** Seeds with which each planted bug must be found: those that the suite runs (vitest.config.ts). */
const SEEDS_OF_A_PLANT = "1000";

/**
 * `npm run simulate -- --seeds 20000 --seed 1`: runs the simulator with so many seeds, from that one on. With `--plants`: once for each
 * planted bug, and fails unless all are found.
 */
const { values } = parseArgs({
  options: {
    seed: { type: "string", default: "1" },
    seeds: { type: "string" },
    plants: { type: "boolean", default: false },
  },
});
const { seed, plants, seeds = plants ? SEEDS_OF_A_PLANT : "1" } = values;
for (const [name, value] of Object.entries({ seed, seeds }))
  if (!/^\d{1,9}$/.test(value)) {
    console.error(`--${name} must be a number.`);
    process.exit(2);
  }

const settings = { ...process.env, SIMULATE_SEED: seed, SIMULATE_SEEDS: seeds };
const run = (env: NodeJS.ProcessEnv, stdio: "inherit" | "pipe") =>
  spawnSync("npx", ["vitest", "run", "--project", "simulator"], { stdio, env, encoding: "utf8" });

const began = Date.now();
if (plants) {
  for (const { name } of PLANTS) {
    const { stdout, stderr } = run({ ...settings, SIMULATE_PLANT: name, NO_COLOR: "1" }, "pipe");
    const [, found, how] = /Error: seed (\d+): (.*)/.exec(stderr) ?? [];
    console.log(
      found === undefined ? `NOT FOUND: ${name}\n${stdout}${stderr}` : `found by seed ${found}: ${name} (${how})`,
    );
    if (found === undefined) process.exitCode = 1;
  }
} else process.exitCode = run(settings, "inherit").status ?? 1;
console.log(`${seeds} seeds from ${seed} in ${Math.round((Date.now() - began) / 1000)} s`);
