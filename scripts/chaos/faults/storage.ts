import { readFile, rm, truncate, writeFile } from "node:fs/promises";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import type { Fault } from "./fault.ts";

const BLOCK_BYTES = 1024 * 1024;

export const STORAGE_FAULTS: readonly Fault[] = [
  {
    name: "full disk",
    weight: 2,
    isPossible: ({ hasOwnDisk }) => hasOwnDisk,
    async inject(world, random) {
      const ballast = join(world.folder, "ballast");
      await fill(ballast);
      await sleep(random.integer(1_000, 6_000));
      await rm(ballast);
      return world.machines.map(({ name }) => name);
    },
  },
  {
    name: "damaged secrets at a start",
    weight: 1,
    async inject(world) {
      const file = join(world.operator.stateFolder, "secrets.json");
      await world.operator.stop();
      const whole = await readFile(file);
      await truncate(file, Math.floor(whole.length / 2));
      try {
        await world.operator.start();
        world.ledger.violations.push("Operator started with a damaged secrets.json");
        await world.operator.stop();
      } catch (reason) {
        const words = reason instanceof Error ? reason.message : String(reason);
        if (!words.includes("secrets.json"))
          world.ledger.violations.push(`a damaged secrets.json is not named: ${words.slice(0, 200)}`);
      }
      await writeFile(file, whole);
      await world.operator.start();
      return world.machines.map(({ name }) => name);
    },
  },
];

/** Writes until the disk has no free byte. */
async function fill(path: string): Promise<void> {
  const file = await open(path, "w");
  try {
    for (let size = BLOCK_BYTES; size >= 1; size = Math.floor(size / 2)) {
      const block = Buffer.alloc(size, 1);
      for (;;) {
        const { bytesWritten } = await file.write(block);
        if (bytesWritten < size) break;
      }
    }
  } catch (reason) {
    if (!(reason instanceof Error && "code" in reason && reason.code === "ENOSPC")) throw reason;
  } finally {
    await file.close();
  }
}
