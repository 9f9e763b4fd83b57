import { setTimeout as sleep } from "node:timers/promises";

const LOOK_MS = 100;

/** Seconds until `isTrue`, or `null` when it is not within the limit. An attempt that throws counts as not yet. */
export async function eventually(limitMs: number, isTrue: () => Promise<boolean> | boolean): Promise<number | null> {
  const beganMs = performance.now();
  for (;;) {
    try {
      if (await isTrue()) return (performance.now() - beganMs) / 1000;
    } catch {
      // Not yet: what is asked may be just what was broken.
    }
    if (performance.now() - beganMs > limitMs) return null;
    await sleep(LOOK_MS);
  }
}
