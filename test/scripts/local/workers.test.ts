import { readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
import { bundleWorker } from "../../../scripts/local/bundle.ts";
import { readWorkerConfig } from "../../../scripts/local/worker-config.ts";
import { bundleWorkers, REPOSITORY } from "../../../scripts/local/workers.ts";
import { temporaryFolder } from "../connector/support/temporary-folder.ts";

/** Processes that were started with this text in an argument. */
function processesWith(text: string): string[] {
  return readdirSync("/proc").flatMap((entry) => {
    try {
      const command = readFileSync(`/proc/${Number(entry)}/cmdline`, "utf8");
      return command.includes(text) ? [command.replaceAll("\0", " ")] : [];
    } catch {
      return []; // no process, or one that has ended
    }
  });
}

it("bundling leaves nothing running when one of the two Workers cannot be bundled", async () => {
  using root = temporaryFolder();
  await cp(join(REPOSITORY, "dispatch-worker"), join(root.path, "dispatch-worker"), { recursive: true });
  await mkdir(join(root.path, "control-api"));
  await writeFile(join(root.path, "control-api/wrangler.jsonc"), '{ "name": "operator", "main": "nowhere.ts" }');
  const bundles = join(root.path, "bundles");
  await expect(bundleWorkers(root.path, bundles)).rejects.toThrow();
  await sleep(500); // Wrangler runs for more than a second: one that was started for the other Worker would be seen
  expect(processesWith(bundles)).toEqual([]);
});

it("a bundle that a power cut left incomplete is made again", async () => {
  using folder = temporaryFolder();
  const path = join(REPOSITORY, "dispatch-worker/wrangler.jsonc");
  const config = await readWorkerConfig(path);
  await bundleWorker(path, config, folder.path);
  const main = join(folder.path, "index.js");
  const whole = readFileSync(main, "utf8");
  await truncate(main, 1_000);
  await bundleWorker(path, config, folder.path);
  expect(readFileSync(main, "utf8")).toBe(whole);
});
