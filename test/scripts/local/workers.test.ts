import { readdirSync, readFileSync } from "node:fs";
import { cp, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, it } from "vitest";
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
