import { spawnSync } from "node:child_process";
import { parseArgs } from "node:util";

/** `npm run simulate -- --seeds 20000 --seed 1`: runs the simulator with so many seeds, from that one on. */
const { values } = parseArgs({
  options: { seed: { type: "string", default: "1" }, seeds: { type: "string", default: "1" } },
});
for (const [name, value] of Object.entries(values))
  if (!/^\d{1,9}$/.test(value)) {
    console.error(`--${name} must be a number.`);
    process.exit(2);
  }

const began = Date.now();
const { status } = spawnSync("npx", ["vitest", "run", "--project", "simulator"], {
  stdio: "inherit",
  env: { ...process.env, SIMULATE_SEED: values.seed, SIMULATE_SEEDS: values.seeds },
});
console.log(`${values.seeds} seeds from ${values.seed} in ${Math.round((Date.now() - began) / 1000)} s`);
process.exitCode = status ?? 1;
