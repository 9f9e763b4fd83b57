import { open, rm } from "node:fs/promises";
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
